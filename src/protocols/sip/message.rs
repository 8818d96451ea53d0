//! Messages: requests and responses whose mandatory headers have been read, and drafts to send.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use super::headers::{CSeq, NameAddr, Q850, Via, retry_after_s};
use super::vocabulary::{self, Method};
use super::wire::{Frame, Headers, WireError, frame, is_token};
use super::{text, uri::Uri};

/// RFC 3261 §7.1: compared without case.
const VERSION: &str = "SIP/2.0";

/// One SIP message from the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks.
    Request(Request),
    /// Somebody answers.
    Response(Response),
}

impl Message {
    /// Reads one datagram.
    ///
    /// # Errors
    /// [`WireError`] says what is wrong; nothing panics, whatever the bytes.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let Frame { start, headers, body } = frame(datagram)?;
        let common = Common::read(&headers)?;
        let version = start.get(..VERSION.len()).unwrap_or_default();
        let status_line = start.get(VERSION.len()..).and_then(|rest| rest.strip_prefix(' '));
        if let Some(status_line) = status_line.filter(|_| version.eq_ignore_ascii_case(VERSION)) {
            // RFC 3261 §7.2; the blank before an empty phrase is often left out.
            let (code, phrase) = status_line.split_once(' ').unwrap_or((status_line, ""));
            let status: u16 = code.parse().map_err(|_| WireError::StartLine)?;
            if code.len() != 3 || !(100..700).contains(&status) {
                return Err(WireError::StartLine);
            }
            let phrase = phrase.to_owned();
            return Ok(Self::Response(Response { status, phrase, common, headers, body }));
        }
        // RFC 3261 §7.1: exactly one blank between the parts, none at the end.
        let mut parts = start.split(' ');
        let (Some(method), Some(uri), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(WireError::StartLine);
        };
        if method.is_empty() || !method.bytes().all(is_token) || Uri::parse(uri).is_none() {
            return Err(WireError::StartLine);
        }
        if !version.eq_ignore_ascii_case(VERSION) {
            return Err(WireError::Version);
        }
        let method = Method::from_token(method);
        if method != common.cseq.method {
            return Err(WireError::CSeqMethod);
        }
        Ok(Self::Request(Request { method, uri: uri.to_owned(), common, headers, body }))
    }
}

/// The headers every message has (RFC 3261 §8.1.1), read once and right.
#[derive(Clone, PartialEq, Eq)]
pub struct Common {
    /// The top Via.
    pub via: Via,
    /// Who asks.
    pub from: NameAddr,
    /// Who is asked.
    pub to: NameAddr,
    /// The name of the call.
    pub call_id: String,
    /// The order of requests.
    pub cseq: CSeq,
}

impl Common {
    fn read(headers: &Headers) -> Result<Self, WireError> {
        let via =
            headers.list("Via").next().and_then(Via::parse).ok_or(WireError::Header("Via"))?;
        let from = single(headers, "From").and_then(NameAddr::parse);
        let to = single(headers, "To").and_then(NameAddr::parse);
        let call_id = single(headers, "Call-ID").filter(|id| !id.is_empty());
        let cseq = single(headers, "CSeq").and_then(CSeq::parse);
        Ok(Self {
            via,
            from: from.ok_or(WireError::Header("From"))?,
            to: to.ok_or(WireError::Header("To"))?,
            call_id: call_id.ok_or(WireError::Header("Call-ID"))?.to_owned(),
            cseq: cseq.ok_or(WireError::Header("CSeq"))?,
        })
    }
}

/// The value of a field that may stand once only (RFC 4475 §3.3.8: otherwise it is an error).
fn single<'a>(headers: &'a Headers, name: &'a str) -> Option<&'a str> {
    let mut all = headers.all(name);
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

/// A request with its mandatory headers read.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The Request-URI as it was written.
    pub uri: String,
    /// Via, From, To, Call-ID, CSeq.
    pub common: Common,
    /// Every field.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Marks the top Via with the datagram's source; a server does so before it answers
    /// (RFC 3261 §18.2.1).
    pub fn stamp(&mut self, source: SocketAddr) {
        self.common.via.stamp(source);
        let mut values: Vec<String> = self.headers.list("Via").map(str::to_owned).collect();
        if let Some(top) = values.first_mut() {
            *top = self.common.via.to_string();
        }
        // The first field may carry several values; they are written back on as many as came.
        let on_first_line =
            self.headers.get("Via").map_or(0, |v| super::wire::split(v, ',').count());
        values.truncate(on_first_line);
        self.headers.replace_first("Via", values.join(", "));
    }

    /// Where an answer goes (RFC 3261 §18.2.2, RFC 3581 §4).
    pub fn answer_to(&self, source: SocketAddr) -> SocketAddr {
        self.common.via.answer_to(source)
    }

    /// An answer with Via, From, To, Call-ID and CSeq copied (RFC 3261 §8.2.6.2).
    ///
    /// `to_tag` names our side of the dialog and is added where the request has none; leave it out
    /// for a 100. Pass [`vocabulary::phrase`] for the standard phrase.
    pub fn response(&self, status: u16, phrase: &str, to_tag: Option<&str>) -> Draft {
        let mut draft = Draft::response(status, phrase);
        for via in self.headers.all("Via") {
            draft = draft.header("Via", via);
        }
        draft = draft.copy(&self.headers, "From");
        let to = self.headers.get("To").unwrap_or_default();
        draft = match to_tag.filter(|_| self.common.to.tag().is_none()) {
            Some(tag) => draft.header("To", format!("{to};tag={tag}")),
            None => draft.header("To", to),
        };
        draft.copy(&self.headers, "Call-ID").copy(&self.headers, "CSeq")
    }

    /// [`Self::response`] with the standard phrase.
    pub fn answer(&self, status: u16, to_tag: Option<&str>) -> Draft {
        self.response(status, &vocabulary::phrase(status), to_tag)
    }

    /// The URI of the first Contact: where requests inside the dialog go.
    pub fn contact(&self) -> Option<NameAddr> {
        self.headers.list("Contact").next().and_then(NameAddr::parse)
    }

    /// The Q.850 cause of a Reason header (RFC 3326).
    pub fn q850(&self) -> Option<Q850> {
        Q850::find(self.headers.list("Reason"))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, self.common.call_id)
    }
}

/// A response with its mandatory headers read.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// The phrase as it was sent; [`Self::phrase_readable`] for people.
    pub phrase: String,
    /// Via, From, To, Call-ID, CSeq.
    pub common: Common,
    /// Every field.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// 1xx.
    pub fn is_provisional(&self) -> bool {
        self.status < 200
    }

    /// 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The phrase with Latin-1 bytes as letters.
    pub fn phrase_readable(&self) -> String {
        text::readable(&self.phrase)
    }

    /// The first Contact: where requests inside the dialog go.
    pub fn contact(&self) -> Option<NameAddr> {
        self.headers.list("Contact").next().and_then(NameAddr::parse)
    }

    /// The route set of a caller: Record-Route read backwards (RFC 3261 §12.1.2), values whole.
    pub fn route_set(&self) -> Vec<String> {
        let mut routes: Vec<String> =
            self.headers.list("Record-Route").map(str::to_owned).collect();
        routes.reverse();
        routes
    }

    /// The Q.850 cause of a Reason header (RFC 6432 allows it in responses).
    pub fn q850(&self) -> Option<Q850> {
        Q850::find(self.headers.list("Reason"))
    }

    /// Reason as it was sent, all values, for the evidence beside a result.
    pub fn reason(&self) -> Option<String> {
        let joined = self.headers.all("Reason").map(text::readable).collect::<Vec<_>>().join(", ");
        (!joined.is_empty()).then_some(joined)
    }

    /// Seconds of Retry-After.
    pub fn retry_after_s(&self) -> Option<u32> {
        self.headers.get("Retry-After").and_then(retry_after_s)
    }

    /// The body where it is a session description; an empty one is none.
    pub fn sdp(&self) -> Option<&[u8]> {
        let is_sdp = self.headers.get("Content-Type").is_none_or(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/sdp")
        });
        (is_sdp && !self.body.is_empty()).then_some(self.body.as_slice())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({} {})", self.status, self.common.call_id)
    }
}

/// A message to be sent. Content-Length is written by [`Draft::to_bytes`].
#[derive(Clone)]
pub struct Draft {
    start: String,
    headers: Headers,
    body: Vec<u8>,
}

impl Draft {
    /// Begins a request.
    pub fn request(method: &Method, uri: &str) -> Self {
        Self::begin(format!("{method} {uri} SIP/2.0"))
    }

    /// Begins a response; [`Request::response`] is the usual way.
    pub fn response(status: u16, phrase: &str) -> Self {
        Self::begin(format!("SIP/2.0 {status} {phrase}"))
    }

    fn begin(start: String) -> Self {
        Self { start, headers: Headers::default(), body: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Adds every field of this name from a message, in its order: Record-Route in an answer.
    #[must_use]
    pub fn copy(mut self, from: &Headers, name: &'static str) -> Self {
        for value in from.all(name) {
            self.headers.push(name, value);
        }
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: &[u8]) -> Self {
        self.headers.push("Content-Type", content_type);
        self.body = body.to_vec();
        self
    }

    /// Sets a session description as the body.
    #[must_use]
    pub fn sdp(self, body: &[u8]) -> Self {
        self.body("application/sdp", body)
    }

    /// The datagram. No value can begin a header of its own: line ends in it become blanks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        let mut line = |parts: &[&str]| {
            for part in parts {
                let clean = part.replace(['\r', '\n'], " ");
                text::to_wire(&clean, &mut out);
            }
            out.extend_from_slice(b"\r\n");
        };
        line(&[&self.start]);
        for (name, value) in self.headers.iter() {
            line(&[name, ": ", value]);
        }
        line(&["Content-Length: ", &self.body.len().to_string()]);
        line(&[]);
        out.extend_from_slice(&self.body);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INVITE: &[u8] = b"INVITE sip:+12025550100@h SIP/2.0\r\n\
        Via: SIP/2.0/UDP a.example;branch=z9hG4bK1, SIP/2.0/TCP b\r\nVia: SIP/2.0/UDP c\r\n\
        From: \"Ren\xE9\" <sip:1@a>;tag=f\r\nTo: <sip:2@h>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
        Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr;vsf=AA==>\r\n\r\n";

    fn request(bytes: &[u8]) -> Request {
        match Message::parse(bytes) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn response(bytes: &[u8]) -> Response {
        match Message::parse(bytes) {
            Ok(Message::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_copies_what_the_rfc_says_to_the_byte() {
        let mut request = request(INVITE);
        request.stamp("192.0.2.1:5070".parse().unwrap());
        let bytes =
            request.answer(486, Some("t")).copy(&request.headers, "Record-Route").to_bytes();
        let want: &[u8] = b"SIP/2.0 486 Busy Here\r\n\
            Via: SIP/2.0/UDP a.example;branch=z9hG4bK1;received=192.0.2.1, SIP/2.0/TCP b\r\n\
            Via: SIP/2.0/UDP c\r\nFrom: \"Ren\xE9\" <sip:1@a>;tag=f\r\nTo: <sip:2@h>;tag=t\r\n\
            Call-ID: x\r\nCSeq: 1 INVITE\r\nRecord-Route: <sip:p1;lr>\r\n\
            Record-Route: <sip:p2;lr;vsf=AA==>\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(want));
        assert_eq!(bytes, want);
    }

    #[test]
    fn the_route_set_is_record_route_backwards_and_whole() {
        let request = request(INVITE);
        let bytes =
            request.answer(200, Some("t")).copy(&request.headers, "Record-Route").to_bytes();
        assert_eq!(response(&bytes).route_set(), ["<sip:p2;lr;vsf=AA==>", "<sip:p1;lr>"]);
    }

    #[test]
    fn a_status_line_without_a_blank_or_with_a_foreign_phrase_is_read() {
        let rest = "\r\nv: SIP/2.0/UDP a\r\nf: <sip:a>;tag=1\r\nt: <sip:b>\r\ni: x\r\nCSeq: 1 INVITE\r\n\r\n";
        assert_eq!(response(format!("SIP/2.0 480{rest}").as_bytes()).status, 480);
        let named = response(&[b"SIP/2.0 486 Occup\xE9", rest.as_bytes()].concat());
        assert_eq!(named.phrase_readable(), "Occup\u{e9}");
        assert_eq!(response(format!("sip/2.0 200 OK{rest}").as_bytes()).status, 200);
        for bad in ["SIP/2.0 99", "SIP/2.0 4294967301 x", "SIP/2.0 +99 x", "SIP/2.0 700 x"] {
            assert!(Message::parse(format!("{bad}{rest}").as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_cannot_smuggle_in_a_header() {
        let bytes = Draft::request(&Method::OPTIONS, "sip:h")
            .header("X", "a\r\nRoute: <sip:evil>")
            .to_bytes();
        assert!(frame(&bytes).unwrap().headers.get("Route").is_none());
    }

    #[test]
    fn debug_shows_neither_name_nor_number() {
        let shown = format!("{:?}", request(INVITE));
        assert_eq!(shown, "Request(INVITE x)");
    }

    proptest! {
        /// Any one change to a good message is read or refused, and never panics.
        #[test]
        fn a_changed_byte_never_panics(at in 0..INVITE.len(), byte: u8, cut in 0..INVITE.len()) {
            let mut bytes = INVITE.to_vec();
            bytes[at] = byte;
            bytes.truncate(cut.max(at));
            if let Ok(Message::Request(mut request)) = Message::parse(&bytes) {
                request.stamp("192.0.2.1:5070".parse().unwrap());
                let answer = request.answer(500, Some("t")).to_bytes();
                prop_assert!(Message::parse(&answer).is_ok());
            }
        }
    }
}

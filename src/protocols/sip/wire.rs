//! Framing: one datagram into start line, header fields and body (RFC 3261 §7, §18.3).
//!
//! Tolerant where senders are known to differ (leading CRLF, bare LF, folding, compact names,
//! spaces around the colon), strict where a guess could merge two messages (Content-Length).

use std::borrow::Cow;

use super::text;

/// Header fields in one message. A call through many proxies has 40; RFC 4475's longest has 60.
pub const HEADERS_MAX: usize = 256;

/// Why a datagram is not a SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Only line ends: a keep-alive (RFC 5626 §3.5.1), not a fault.
    #[error("keep-alive")]
    KeepAlive,
    /// The first line is neither a request line nor a status line.
    #[error("start line")]
    StartLine,
    /// A version other than SIP/2.0.
    #[error("version")]
    Version,
    /// A line that is not `name: value`.
    #[error("header line")]
    HeaderLine,
    /// More than [`HEADERS_MAX`] fields.
    #[error("too many header fields")]
    TooManyHeaders,
    /// The empty line after the header is missing: the datagram was cut.
    #[error("no end of header")]
    Truncated,
    /// Content-Length is not a number, repeated with another value, or larger than the rest.
    #[error("content length")]
    ContentLength,
    /// A header every message needs is missing, repeated or malformed.
    #[error("{0} header")]
    Header(&'static str),
    /// The method in CSeq is not the request's (RFC 3261 §8.1.1.5).
    #[error("method in CSeq")]
    CSeqMethod,
}

/// A message cut into its parts; nothing is interpreted yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The first line without its end.
    pub start: String,
    /// Header fields in their order.
    pub headers: Headers,
    /// Exactly what Content-Length says, or the rest of the datagram where it is missing.
    pub body: Vec<u8>,
}

/// Header fields in the order of the message, names spelled in full.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<(Cow<'static, str>, String)>);

impl Headers {
    /// Appends a field.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every field of this name, undivided, in order.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every value of a field that is a list: repeated fields and commas mean the same
    /// (RFC 3261 §7.3.1).
    pub fn list<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.all(name).flat_map(|value| split(value, ',')).filter(|value| !value.is_empty())
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// Puts `value` in the place of the first field of this name.
    pub(super) fn replace_first(&mut self, name: &str, value: String) {
        if let Some((_, old)) = self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            *old = value;
        }
    }
}

/// Compact names: RFC 3261 §7.3.3 and the IANA registry.
const COMPACT: &[(&str, &str)] = &[
    ("a", "Accept-Contact"),
    ("b", "Referred-By"),
    ("c", "Content-Type"),
    ("d", "Request-Disposition"),
    ("e", "Content-Encoding"),
    ("f", "From"),
    ("i", "Call-ID"),
    ("j", "Reject-Contact"),
    ("k", "Supported"),
    ("l", "Content-Length"),
    ("m", "Contact"),
    ("o", "Event"),
    ("r", "Refer-To"),
    ("s", "Subject"),
    ("t", "To"),
    ("u", "Allow-Events"),
    ("v", "Via"),
    ("x", "Session-Expires"),
    ("y", "Identity"),
];

/// Cuts a datagram into its parts.
///
/// # Errors
/// Everything in [`WireError`] up to `ContentLength`; the rest comes from [`super::message`].
pub fn frame(datagram: &[u8]) -> Result<Frame, WireError> {
    // RFC 3261 §7.5: line ends before the start line are ignored.
    let begin = datagram.iter().position(|b| !matches!(b, b'\r' | b'\n'));
    let mut rest = begin.and_then(|at| datagram.get(at..)).ok_or(WireError::KeepAlive)?;
    let start = text::from_wire(next_line(&mut rest).ok_or(WireError::StartLine)?);
    let mut headers = Headers::default();
    loop {
        let line = next_line(&mut rest).ok_or(WireError::Truncated)?;
        match line.first() {
            None => break,
            Some(b' ' | b'\t') => unfold(&mut headers, line)?,
            Some(_) => headers.0.push(field(line)?),
        }
        if headers.0.len() > HEADERS_MAX {
            return Err(WireError::TooManyHeaders);
        }
    }
    let body = match content_length(&headers)? {
        // RFC 3261 §18.3: octets beyond Content-Length are not ours; a body that is shorter than
        // it says was cut on its way, and the datagram is an error.
        Some(length) => rest.get(..length).ok_or(WireError::ContentLength)?,
        None => rest,
    };
    Ok(Frame { start, headers, body: body.to_vec() })
}

/// Takes one line off, ended by CRLF or, from sloppy senders, by LF alone.
fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&b| b == b'\n')?;
    let (line, after) = rest.split_at_checked(end)?;
    *rest = after.get(1..)?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// RFC 3261 §7.3.1: a line that begins with a space goes on with the field above it.
fn unfold(headers: &mut Headers, line: &[u8]) -> Result<(), WireError> {
    let (_, value) = headers.0.last_mut().ok_or(WireError::HeaderLine)?;
    let more = text::from_wire(line.trim_ascii());
    if !value.is_empty() && !more.is_empty() {
        value.push(' ');
    }
    value.push_str(&more);
    Ok(())
}

fn field(line: &[u8]) -> Result<(Cow<'static, str>, String), WireError> {
    let colon = line.iter().position(|&b| b == b':').ok_or(WireError::HeaderLine)?;
    let (name, value) = line.split_at_checked(colon).ok_or(WireError::HeaderLine)?;
    let name = name.trim_ascii_end();
    if name.is_empty() || !name.iter().all(|&b| is_token(b)) {
        return Err(WireError::HeaderLine);
    }
    let name = String::from_utf8_lossy(name);
    let full = COMPACT.iter().find(|(short, _)| short.eq_ignore_ascii_case(&name));
    let name = full.map_or_else(|| Cow::Owned(name.into_owned()), |(_, full)| Cow::Borrowed(*full));
    let value = text::from_wire(value.get(1..).unwrap_or_default().trim_ascii());
    Ok((name, value))
}

fn content_length(headers: &Headers) -> Result<Option<usize>, WireError> {
    let mut length = None;
    for value in headers.all("Content-Length") {
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(WireError::ContentLength);
        }
        let this = value.parse::<usize>().map_err(|_| WireError::ContentLength)?;
        if length.is_some_and(|other| other != this) {
            return Err(WireError::ContentLength);
        }
        length = Some(this);
    }
    Ok(length)
}

/// RFC 3261 §25.1 `token`.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Splits at `separator` outside quotes and angle brackets; the pieces are trimmed.
pub(super) fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = match find_bare(text, separator) {
            Some(at) => (text.get(..at)?, text.get(at + separator.len_utf8()..)),
            None => (text, None),
        };
        rest = after;
        Some(piece.trim())
    })
}

/// Where `wanted` first stands outside quotes and angle brackets.
pub(super) fn find_bare(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for (at, letter) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        if letter == wanted && !quoted && !bracketed {
            return Some(at);
        }
        match letter {
            '\\' if quoted => escaped = true,
            '"' if !bracketed => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers_of(text: &str) -> Headers {
        frame(text.as_bytes()).unwrap().headers
    }

    #[test]
    fn folded_compact_and_spaced_fields_are_read() {
        let headers =
            headers_of("OPTIONS sip:h SIP/2.0\nv  :  SIP/2.0/UDP a\r\n ;branch=x\r\n\r\n");
        assert_eq!(headers.get("via"), Some("SIP/2.0/UDP a ;branch=x"));
    }

    #[test]
    fn a_list_is_the_same_on_one_line_or_several() {
        let headers =
            headers_of("A\r\nRoute: <sip:a,b>, \"x, \\\" y\" <sip:c>\r\nRoute: <sip:d>\r\n\r\n");
        let values: Vec<_> = headers.list("Route").collect();
        assert_eq!(values, ["<sip:a,b>", "\"x, \\\" y\" <sip:c>", "<sip:d>"]);
    }

    #[test]
    fn octets_beyond_content_length_are_cut_off() {
        let message = b"\r\n\r\nA\r\nl: 4\r\n\r\nabcdINVITE sip:next SIP/2.0\r\n";
        assert_eq!(frame(message).unwrap().body, b"abcd");
    }

    #[test]
    fn a_missing_content_length_means_the_rest_of_the_datagram() {
        assert_eq!(frame(b"A\r\nX: y\r\n\r\nv=0\r\n").unwrap().body, b"v=0\r\n");
    }

    #[test]
    fn an_impossible_content_length_is_refused() {
        for value in ["9999", "-999", "", "4, 4", "1e1", "99999999999999999999999"] {
            let message = format!("A\r\nContent-Length: {value}\r\n\r\nabcd");
            assert_eq!(frame(message.as_bytes()).err(), Some(WireError::ContentLength), "{value}");
        }
    }

    #[test]
    fn line_ends_alone_are_a_keep_alive() {
        assert_eq!(frame(b"\r\n\r\n").err(), Some(WireError::KeepAlive));
        assert_eq!(frame(b"").err(), Some(WireError::KeepAlive));
    }

    #[test]
    fn a_header_without_end_was_cut() {
        assert_eq!(frame(b"A\r\nX: y\r\n").err(), Some(WireError::Truncated));
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes: Vec<u8>, tail in "[\r\n\t :;,<>\"a-z\\\\]{0,80}") {
            let message = [bytes.as_slice(), tail.as_bytes()].concat();
            drop(frame(&message));
        }

        #[test]
        fn splitting_loses_nothing_but_blanks(text in "[a-c,<>\"\\\\ ]{0,30}") {
            let joined: String = split(&text, ',').collect::<Vec<_>>().join(",");
            let bare = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(bare(&joined), bare(&text));
        }
    }
}

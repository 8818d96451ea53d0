//! One incoming call, from INVITE to the last answer.
//!
//! ```text
//!                 refuse                ACK, or 32 s
//! Proceeding ───────────────► Refused ───────────────► Over
//!     │ answer                                          ▲
//!     ▼          ACK             BYE, answered          │
//!  Accepted ───────────► Confirmed ─────────────────────┤
//!     │ 32 s without ACK     │ hang_up                  │
//!     └──────────► Leaving ◄─┘        final to our BYE ─┘
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::domain::time::{Duration, Mono};
use crate::protocols::sip::message::{Draft, Request, Response};
use crate::protocols::sip::uri::Uri;
use crate::protocols::sip::vocabulary::Method;

/// RFC 3261 §17.1.1.1: the round trip assumed, and the longest wait between two copies.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// 64 * T1: how long a final answer or a BYE is repeated, and how long repeated requests are
/// expected afterwards (timers H, F and J).
const PATIENCE: Duration = Duration::from_secs(32);

/// How an INVITE is refused.
#[derive(Debug, Clone, Copy)]
pub(in crate::lab) struct Refuse<'a> {
    pub(in crate::lab) status: u16,
    pub(in crate::lab) phrase: &'a str,
    pub(in crate::lab) reason: Option<&'a str>,
    pub(in crate::lab) retry_after_s: Option<u32>,
}

/// What happened to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lab) enum UasEvent {
    /// The same INVITE came again and was answered again.
    Repeated,
    /// Another INVITE with this Call-ID.
    Doubled,
    /// A CANCEL came in time; its owner answers the INVITE.
    Cancelled,
    /// A CANCEL came when the final answer was on its way.
    CancelledTooLate,
    /// Our final answer was acknowledged, for the first time.
    Acknowledged,
    /// Nobody acknowledged it for 32 s; a 2xx was followed by BYE.
    NeverAcknowledged,
    /// The caller's first BYE; `crossed` where ours was on its way.
    HungUp { crossed: bool },
    /// Our BYE was answered, or (`None`) was not for 32 s.
    Left(Option<u16>),
    /// Nothing more is expected: the call can be forgotten.
    Over,
}

/// A message repeated until it is answered: T1, doubling up to T2.
#[derive(Debug)]
struct Repeat {
    to: SocketAddr,
    bytes: Vec<u8>,
    due: Mono,
    wait: Duration,
    until: Mono,
}

impl Repeat {
    fn new(now: Mono, to: SocketAddr, bytes: Vec<u8>) -> Self {
        Self { to, bytes, due: now + T1, wait: T1, until: now + PATIENCE }
    }

    fn next(&self) -> Mono {
        self.due.min(self.until)
    }

    fn step(&mut self, now: Mono) {
        self.wait = (self.wait * 2).min(T2);
        self.due = now + self.wait;
    }
}

#[derive(Debug)]
enum State {
    Proceeding,
    Accepted(Repeat),
    Confirmed,
    Refused(Repeat),
    Leaving(Repeat),
    Over { until: Mono },
}

/// One call.
pub(super) struct UasCall {
    invite: Request,
    /// Where answers to the INVITE go.
    answer_to: SocketAddr,
    local: SocketAddr,
    tag: String,
    state: State,
    /// The last answer to the INVITE, for its repetitions.
    answered: Option<Vec<u8>>,
    /// The last other request and the answer to it.
    last: Option<(String, Method, Vec<u8>)>,
    acknowledged: bool,
    bye_seen: bool,
    copies_sent: u32,
    /// The cause of a BYE that waits for the ACK.
    leaves: Option<u16>,
    /// Reason of the caller's CANCEL or BYE.
    reason: Option<String>,
    pub(super) out: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(super) events: VecDeque<UasEvent>,
}

impl UasCall {
    /// Takes a stamped INVITE; its owner says what is to be answered, if anything.
    pub(super) fn new(invite: Request, source: SocketAddr, local: SocketAddr, tag: String) -> Self {
        let answer_to = invite.answer_to(source);
        Self {
            invite,
            answer_to,
            local,
            tag,
            state: State::Proceeding,
            answered: None,
            last: None,
            acknowledged: false,
            bye_seen: false,
            copies_sent: 0,
            leaves: None,
            reason: None,
            out: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    pub(super) fn invite(&self) -> &Request {
        &self.invite
    }

    /// The INVITE waits for its final answer.
    pub(super) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// Answered, and not over yet.
    pub(super) fn is_established(&self) -> bool {
        matches!(self.state, State::Accepted(_) | State::Confirmed)
    }

    /// Why the caller cancelled or hung up, as it wrote it.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Final answers and BYEs sent again.
    pub(super) fn copies_sent(&self) -> u32 {
        self.copies_sent
    }

    fn draft(&self, status: u16, phrase: &str) -> Draft {
        let uri = Uri::parse(&self.invite.uri);
        let user = uri.and_then(|uri| uri.user).unwrap_or_else(|| "lab".to_owned());
        let contact = format!("<sip:{user}@{}>", self.local);
        self.invite
            .response(status, phrase, Some(&self.tag))
            .copy(&self.invite.headers, "Record-Route")
            .header("Contact", contact)
    }

    /// 100, so that the INVITE is not repeated (RFC 3261 §17.2.1).
    pub(super) fn trying(&mut self) {
        if self.is_proceeding() {
            let bytes = self.invite.answer(100, None).to_bytes();
            self.answered = Some(bytes.clone());
            self.out.push_back((self.answer_to, bytes));
        }
    }

    /// 180, or 183 with a description.
    pub(super) fn progress(&mut self, status: u16, sdp: Option<&[u8]>) {
        if !self.is_proceeding() {
            return;
        }
        let phrase = if status == 183 { "Session Progress" } else { "Ringing" };
        let draft = self.draft(status, phrase);
        let bytes = match sdp {
            Some(sdp) => draft.sdp(sdp).to_bytes(),
            None => draft.to_bytes(),
        };
        self.answered = Some(bytes.clone());
        self.out.push_back((self.answer_to, bytes));
    }

    /// 200.
    pub(super) fn answer(&mut self, now: Mono, sdp: &[u8]) {
        if !self.is_proceeding() {
            return;
        }
        let bytes = self.draft(200, "OK").sdp(sdp).to_bytes();
        self.finish(now, bytes, State::Accepted);
    }

    /// 3xx to 6xx.
    pub(super) fn refuse(&mut self, now: Mono, how: Refuse<'_>) {
        if !self.is_proceeding() {
            return;
        }
        let mut draft = self.invite.response(how.status, how.phrase, Some(&self.tag));
        if let Some(reason) = how.reason {
            draft = draft.header("Reason", reason);
        }
        if let Some(seconds) = how.retry_after_s {
            draft = draft.header("Retry-After", seconds.to_string());
        }
        self.finish(now, draft.to_bytes(), State::Refused);
    }

    fn finish(&mut self, now: Mono, bytes: Vec<u8>, state: fn(Repeat) -> State) {
        self.answered = Some(bytes.clone());
        self.out.push_back((self.answer_to, bytes.clone()));
        // RFC 3261 §13.3.1.4 and §17.2.1: over UDP every final answer is repeated until its ACK.
        self.state = state(Repeat::new(now, self.answer_to, bytes));
    }

    /// BYE. Nothing happens unless the call is established.
    pub(super) fn hang_up(&mut self, now: Mono, cause: u16) {
        match self.state {
            // RFC 3261 §15: a callee must not send BYE before the ACK of its 2xx: a caller whose
            // 2xx was lost knows of no dialog, and would never learn that it was answered.
            State::Accepted(_) => self.leaves = Some(cause),
            State::Confirmed => self.bye(now, cause),
            State::Proceeding | State::Refused(_) | State::Leaving(_) | State::Over { .. } => {}
        }
    }

    fn bye(&mut self, now: Mono, cause: u16) {
        let common = &self.invite.common;
        let target = self.invite.contact().map_or_else(|| common.from.uri.clone(), |c| c.uri);
        let to = Uri::parse(&target).and_then(|uri| uri.socket_addr()).unwrap_or(self.answer_to);
        let branch = format!("z9hG4bK-bye-{}", self.tag);
        let mut draft = Draft::request(&Method::BYE, &target)
            .header("Via", format!("SIP/2.0/UDP {};branch={branch};rport", self.local))
            .header("Max-Forwards", "70");
        // RFC 3261 §12.1.1: a server's route set is Record-Route in its order.
        for route in self.invite.headers.list("Record-Route") {
            draft = draft.header("Route", route);
        }
        let mut from = common.to.clone();
        from.params.set("tag", self.tag.clone());
        let bytes = draft
            .header("From", from.to_string())
            .header("To", common.from.to_string())
            .header("Call-ID", common.call_id.clone())
            .header("CSeq", "1 BYE")
            .header("Reason", format!("Q.850;cause={cause}"))
            .to_bytes();
        self.out.push_back((to, bytes.clone()));
        self.state = State::Leaving(Repeat::new(now, to, bytes));
    }

    /// Forgets the call at once, as a phone does that loses its power.
    pub(super) fn vanish(&mut self, now: Mono) {
        self.out.clear();
        self.state = State::Over { until: now };
    }

    /// A request with this Call-ID, already stamped.
    pub(super) fn handle_request(&mut self, now: Mono, source: SocketAddr, request: &Request) {
        match &request.method {
            method if *method == Method::INVITE => self.handle_invite(source, request),
            method if *method == Method::ACK => self.handle_ack(now, request),
            _ => {
                let branch = request.common.via.branch().unwrap_or_default();
                let is_copy = |(last, method, _): &&(String, Method, Vec<u8>)| {
                    last == branch && *method == request.method
                };
                if let Some((_, _, bytes)) = self.last.as_ref().filter(is_copy) {
                    self.out.push_back((request.answer_to(source), bytes.clone()));
                    return;
                }
                let status = match &request.method {
                    method if *method == Method::CANCEL => self.handle_cancel(request),
                    method if *method == Method::BYE => self.handle_bye(now, request),
                    method if *method == Method::OPTIONS => 200,
                    _ => 405,
                };
                let bytes = request.answer(status, Some(&self.tag)).to_bytes();
                self.out.push_back((request.answer_to(source), bytes.clone()));
                self.last = Some((branch.to_owned(), request.method.clone(), bytes));
            }
        }
    }

    fn handle_invite(&mut self, source: SocketAddr, request: &Request) {
        if request.common.via.branch() == self.invite.common.via.branch()
            && request.common.cseq == self.invite.common.cseq
        {
            self.events.push_back(UasEvent::Repeated);
            if let Some(bytes) = &self.answered {
                self.out.push_back((self.answer_to, bytes.clone()));
            }
            return;
        }
        // RFC 3261 §8.2.2.2 for a second INVITE outside the dialog; inside it, nothing is to change.
        let status = if request.common.to.tag().is_none() { 482 } else { 488 };
        self.events.push_back(UasEvent::Doubled);
        let bytes = request.answer(status, Some(&self.tag)).to_bytes();
        self.out.push_back((request.answer_to(source), bytes));
    }

    fn handle_ack(&mut self, now: Mono, request: &Request) {
        if request.common.cseq.number != self.invite.common.cseq.number
            || request.common.to.tag() != Some(&self.tag)
        {
            return;
        }
        if !self.acknowledged {
            self.acknowledged = true;
            self.events.push_back(UasEvent::Acknowledged);
        }
        match self.state {
            State::Accepted(_) => {
                self.state = State::Confirmed;
                if let Some(cause) = self.leaves.take() {
                    self.bye(now, cause);
                }
            }
            State::Refused(_) => self.state = State::Over { until: now + PATIENCE },
            State::Proceeding | State::Confirmed | State::Leaving(_) | State::Over { .. } => {}
        }
    }

    fn handle_cancel(&mut self, request: &Request) -> u16 {
        // RFC 3261 §9.2: it takes back the request with the same branch and sent-by.
        if request.common.via.branch() != self.invite.common.via.branch() {
            return 481;
        }
        if self.is_proceeding() {
            self.reason = request.headers.get("Reason").map(str::to_owned);
            self.events.push_back(UasEvent::Cancelled);
        } else {
            self.events.push_back(UasEvent::CancelledTooLate);
        }
        200
    }

    fn handle_bye(&mut self, now: Mono, request: &Request) -> u16 {
        if request.common.from.tag() != self.invite.common.from.tag()
            || request.common.to.tag() != Some(&self.tag)
        {
            return 481;
        }
        let crossed = match self.state {
            State::Accepted(_) | State::Confirmed => false,
            State::Leaving(_) | State::Over { .. } => true,
            State::Proceeding | State::Refused(_) => return 481,
        };
        if !self.bye_seen {
            self.bye_seen = true;
            self.reason = request.headers.get("Reason").map(str::to_owned);
            self.events.push_back(UasEvent::HungUp { crossed });
        }
        match self.state {
            State::Over { .. } => 481,
            State::Leaving(_) => 200,
            State::Proceeding | State::Accepted(_) | State::Confirmed | State::Refused(_) => {
                self.state = State::Over { until: now + PATIENCE };
                200
            }
        }
    }

    /// An answer to our BYE.
    pub(super) fn handle_response(&mut self, now: Mono, response: &Response) {
        if response.common.cseq.method == Method::BYE
            && response.status >= 200
            && matches!(self.state, State::Leaving(_))
        {
            self.events.push_back(UasEvent::Left(Some(response.status)));
            self.state = State::Over { until: now + PATIENCE };
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        match &self.state {
            State::Proceeding | State::Confirmed => None,
            State::Accepted(repeat) | State::Refused(repeat) | State::Leaving(repeat) => {
                Some(repeat.next())
            }
            State::Over { until } => Some(*until),
        }
    }

    /// Repeats what is due, and gives up what was repeated long enough.
    pub(super) fn handle_timeout(&mut self, now: Mono) {
        match &mut self.state {
            State::Proceeding | State::Confirmed => return,
            State::Over { until } => {
                if now >= *until {
                    self.events.push_back(UasEvent::Over);
                }
                return;
            }
            State::Accepted(repeat) | State::Refused(repeat) | State::Leaving(repeat) => {
                if now < repeat.until {
                    if now >= repeat.due {
                        self.copies_sent += 1;
                        self.out.push_back((repeat.to, repeat.bytes.clone()));
                        repeat.step(now);
                    }
                    return;
                }
            }
        }
        match self.state {
            State::Accepted(_) => {
                // RFC 3261 §13.3.1.4: without an ACK the session is ended.
                self.events.push_back(UasEvent::NeverAcknowledged);
                self.bye(now, 102);
            }
            State::Refused(_) => {
                self.events.push_back(UasEvent::NeverAcknowledged);
                self.state = State::Over { until: now };
            }
            State::Leaving(_) => {
                self.events.push_back(UasEvent::Left(None));
                self.state = State::Over { until: now };
            }
            State::Proceeding | State::Confirmed | State::Over { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::sip::message::Message;

    fn request(text: &str) -> Request {
        let Ok(Message::Request(request)) = Message::parse(text.as_bytes()) else {
            panic!("a request");
        };
        request
    }

    fn far() -> SocketAddr {
        "127.0.0.1:5070".parse().unwrap()
    }

    fn text(method: &str, to_tag: &str) -> String {
        format!(
            "{method} sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1\r\n\
             From: <sip:2@h>;tag=f\r\nTo: <sip:1@h>{to_tag}\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:2@127.0.0.1:5070>\r\n\r\n"
        )
    }

    fn call() -> UasCall {
        let local = "127.0.0.1:5060".parse().unwrap();
        UasCall::new(request(&text("INVITE", "")), far(), local, "t".to_owned())
    }

    /// Runs the call's deadlines for this long; gives back what was sent, with its second.
    fn run(call: &mut UasCall, for_s: u64) -> Vec<(u64, String)> {
        let mut sent = Vec::new();
        while let Some(due) = call.poll_timeout().filter(|due| due.as_micros() <= for_s * 1_000_000)
        {
            call.handle_timeout(due);
            for (_, bytes) in call.out.drain(..) {
                let line = String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned();
                sent.push((due.as_micros() / 1_000, line));
            }
            if call.events.contains(&UasEvent::Over) {
                break;
            }
        }
        sent
    }

    #[test]
    fn a_200_without_ack_is_repeated_for_32_seconds_and_followed_by_bye() {
        let mut call = call();
        call.answer(Mono::ZERO, b"v=0");
        call.out.clear();
        let sent = run(&mut call, 32);
        let times: Vec<u64> = sent.iter().map(|(ms, _)| *ms).collect();
        let wanted = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(times[..10], wanted);
        assert!(sent[..10].iter().all(|(_, line)| line == "SIP/2.0 200 OK"));
        assert_eq!(sent[10], (32_000, "BYE sip:2@127.0.0.1:5070 SIP/2.0".to_owned()));
        assert_eq!(call.events, [UasEvent::NeverAcknowledged]);
    }

    #[test]
    fn who_hangs_up_before_the_ack_waits_for_it() {
        let mut call = call();
        call.answer(Mono::ZERO, b"v=0");
        call.hang_up(Mono::ZERO, 16);
        call.out.clear();
        assert_eq!(run(&mut call, 1), [(500, "SIP/2.0 200 OK".to_owned())]);
        call.handle_request(Mono::ZERO, far(), &request(&text("ACK", ";tag=t")));
        let (_, bytes) = call.out.pop_front().unwrap();
        assert!(bytes.starts_with(b"BYE "));
    }

    #[test]
    fn a_bye_without_answer_is_repeated_for_32_seconds_and_the_call_forgotten() {
        let mut call = call();
        call.answer(Mono::ZERO, b"v=0");
        call.handle_request(Mono::ZERO, far(), &request(&text("ACK", ";tag=t")));
        call.hang_up(Mono::ZERO, 16);
        call.out.clear();
        let sent = run(&mut call, 100);
        assert!(sent.iter().all(|(_, line)| line.starts_with("BYE ")));
        assert_eq!(sent.len(), 10);
        assert_eq!(call.events, [UasEvent::Acknowledged, UasEvent::Left(None), UasEvent::Over]);
    }

    #[test]
    fn a_refusal_stops_at_its_ack_and_a_cancel_then_changes_nothing() {
        let mut call = call();
        let busy = Refuse { status: 486, phrase: "Busy", reason: None, retry_after_s: None };
        call.refuse(Mono::ZERO, busy);
        call.handle_request(Mono::ZERO, far(), &request(&text("CANCEL", "")));
        call.handle_request(Mono::ZERO, far(), &request(&text("ACK", ";tag=t")));
        call.out.clear();
        assert_eq!(run(&mut call, 100), []);
        let wanted = [UasEvent::CancelledTooLate, UasEvent::Acknowledged, UasEvent::Over];
        assert_eq!(call.events, wanted);
    }

    #[test]
    fn a_bye_with_a_foreign_tag_is_refused_and_a_repeated_one_answered_alike() {
        let mut call = call();
        call.answer(Mono::ZERO, b"v=0");
        let answers = |call: &mut UasCall, to_tag: &str, branch: &str| {
            let bye = text("BYE", to_tag).replace("z9hG4bK1", branch);
            call.out.clear();
            call.handle_request(Mono::ZERO, far(), &request(&bye));
            let (_, bytes) = call.out.pop_front().unwrap();
            String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned()
        };
        assert!(answers(&mut call, ";tag=x", "z9hG4bK2").contains("481"));
        assert!(answers(&mut call, ";tag=t", "z9hG4bK3").contains("200"));
        assert!(answers(&mut call, ";tag=t", "z9hG4bK3").contains("200"));
        assert!(answers(&mut call, ";tag=t", "z9hG4bK4").contains("481"));
        assert_eq!(call.events, [UasEvent::HungUp { crossed: false }]);
    }
}

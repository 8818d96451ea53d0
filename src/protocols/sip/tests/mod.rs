//! The endpoint from outside, in virtual time: a world of one endpoint and whoever the test plays.

mod calls;
mod in_dialog;
mod one_end;
mod orphans;
mod strangers;

use std::net::SocketAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::ids::LegId;
use crate::domain::time::{Duration, Mono};

const LOCAL: &str = "192.0.2.1:5060";
const CARRIER: &str = "198.51.100.1:5060";
const STRANGER: &str = "203.0.113.66:5060";
const ANSWER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn leg(n: u128) -> LegId {
    LegId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n))
}

fn invite_to(n: u128, headers: &[(&str, &str)]) -> Invite {
    Invite {
        leg: leg(n),
        target: Target { addr: addr(CARRIER), uri: "sip:+12025550100@198.51.100.1".into() },
        from: CallerId { display: None, user: "+12025550199".into(), host: "192.0.2.1".into() },
        sdp: b"v=0\r\n".to_vec(),
        profile: Arc::new(Profile::default()),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
    }
}

struct World {
    endpoint: Endpoint,
    now: Mono,
    /// Everything sent and not looked at yet.
    sent: Vec<(SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
    counted: Vec<Counter>,
}

impl World {
    fn new() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u64) -> Self {
        let endpoint = Endpoint::new(EndpointConfig {
            local: addr(LOCAL),
            user_agent: "campanile".into(),
            networks: vec!["198.51.100.0/24".parse().unwrap()],
            seed,
        });
        let now = Mono::ZERO;
        Self { endpoint, now, sent: Vec::new(), events: Vec::new(), counted: Vec::new() }
    }

    fn collect(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { to, bytes } => self.sent.push((to, bytes)),
                Output::Event(Event::Counted(counter)) => self.counted.push(counter),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn command(&mut self, command: Command) {
        self.endpoint.handle_command(self.now, command);
        self.collect();
    }

    fn receive_from(&mut self, from: &str, bytes: &[u8]) {
        self.endpoint.handle_datagram(self.now, addr(from), bytes);
        self.collect();
    }

    fn receive(&mut self, draft: &Draft) {
        self.receive_from(CARRIER, &draft.to_bytes());
    }

    /// Moves time on, timer by timer.
    fn pass(&mut self, wait: Duration) {
        let until = self.now + wait;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.endpoint.handle_timeout(at);
            self.collect();
        }
        self.now = until;
    }

    /// The only datagram sent since the last look, as a request.
    fn request(&mut self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    fn requests(&mut self) -> Vec<Request> {
        let sent = std::mem::take(&mut self.sent);
        let read = |(_, bytes): &(SocketAddr, Vec<u8>)| match Message::parse(bytes) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        };
        sent.iter().map(read).collect()
    }

    /// The only datagram sent since the last look, as a response.
    fn response(&mut self) -> Response {
        let sent = std::mem::take(&mut self.sent);
        assert_eq!(sent.len(), 1);
        match Message::parse(&sent[0].1) {
            Ok(Message::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn count(&self, counter: Counter) -> usize {
        self.counted.iter().filter(|c| **c == counter).count()
    }

    /// Dials and returns the INVITE.
    fn dial(&mut self, n: u128) -> Request {
        self.command(Command::Invite(invite_to(n, &[])));
        self.request()
    }

    /// Dials, answers at once, and returns the INVITE; everything so far has been looked at.
    fn talk(&mut self, n: u128) -> Request {
        let invite = self.dial(n);
        self.receive(&ok(&invite, "callee"));
        self.sent.clear();
        self.events.clear();
        invite
    }

    fn cancel(&mut self, n: u128) {
        self.command(Command::Cancel { leg: leg(n), reason: ReasonValue::RingTimeout });
    }

    fn bye(&mut self, n: u128) {
        self.command(Command::Bye { leg: leg(n), reason: ReasonValue::NormalClearing });
    }

    /// Lets every timer run out and checks that nothing is kept.
    fn assert_forgets(&mut self) {
        self.pass(Duration::from_mins(2));
        assert!(self.endpoint.is_idle() && self.endpoint.poll_timeout().is_none());
    }
}

/// The callee's 200 to an INVITE.
fn ok(invite: &Request, tag: &str) -> Draft {
    let contact = "<sip:callee@198.51.100.1:5060>";
    invite.answer(200, Some(tag)).header("Contact", contact).sdp(ANSWER)
}

/// A request of the callee inside the dialog that answered `invite` under `tag`.
fn from_callee(invite: &Request, tag: &str, cseq: &str) -> Draft {
    let method = Method::from_token(cseq.split_once(' ').unwrap().1);
    let branch = format!("z9hG4bK{}{tag}{}", invite.common.call_id, cseq.replace(' ', ""));
    Draft::request(&method, "sip:campanile@192.0.2.1:5060")
        .header("Via", format!("SIP/2.0/UDP 198.51.100.1:5060;branch={branch}"))
        .header("From", format!("{};tag={tag}", invite.headers.get("To").unwrap()))
        .header("To", invite.headers.get("From").unwrap())
        .header("Call-ID", invite.common.call_id.as_str())
        .header("CSeq", cseq)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

//! Many incoming calls behind one socket: datagrams and deadlines in, datagrams and events out.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::schedule::Schedule;
use super::uas::{Refuse, UasCall, UasEvent};
use crate::domain::time::Mono;
use crate::protocols::sip::message::{Message, Request};
use crate::protocols::sip::vocabulary::Method;

/// Calls known at once, those that only wait for repetitions included.
const CALLS_MAX: usize = 20_000;

/// A call's name inside the lab.
pub(in crate::lab) type CallKey = u64;

/// What its owner has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lab) enum Happening {
    /// An INVITE opened a call.
    New(CallKey),
    /// Something happened to a call.
    Call(CallKey, UasEvent),
}

/// All calls of one socket.
pub(in crate::lab) struct Switchboard {
    local: SocketAddr,
    /// Makes tags that differ from those of an earlier run on the same port.
    salt: u64,
    next_key: CallKey,
    calls: BTreeMap<CallKey, UasCall>,
    by_id: BTreeMap<String, CallKey>,
    schedule: Schedule<CallKey>,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
    happenings: VecDeque<Happening>,
    malformed: u64,
    strays: u64,
}

impl Switchboard {
    pub(in crate::lab) fn new(local: SocketAddr, salt: u64) -> Self {
        Self {
            local,
            salt,
            next_key: 0,
            calls: BTreeMap::new(),
            by_id: BTreeMap::new(),
            schedule: Schedule::default(),
            out: VecDeque::new(),
            happenings: VecDeque::new(),
            malformed: 0,
            strays: 0,
        }
    }

    /// Datagrams that were no SIP message.
    pub(in crate::lab) fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Requests inside dialogs that do not exist.
    pub(in crate::lab) fn strays(&self) -> u64 {
        self.strays
    }

    /// The INVITE of a call.
    pub(in crate::lab) fn invite(&self, key: CallKey) -> Option<&Request> {
        self.calls.get(&key).map(UasCall::invite)
    }

    /// Answered, and not over yet.
    pub(in crate::lab) fn is_established(&self, key: CallKey) -> bool {
        self.calls.get(&key).is_some_and(UasCall::is_established)
    }

    /// Final answers and BYEs of a call that were sent again.
    pub(in crate::lab) fn copies_sent(&self, key: CallKey) -> u32 {
        self.calls.get(&key).map_or(0, UasCall::copies_sent)
    }

    /// Why the caller cancelled or hung up, as it wrote it.
    pub(in crate::lab) fn reason(&self, key: CallKey) -> Option<String> {
        self.calls.get(&key).and_then(UasCall::reason).map(str::to_owned)
    }

    /// 100.
    pub(in crate::lab) fn trying(&mut self, key: CallKey) {
        self.with(key, UasCall::trying);
    }

    /// 180, or 183 with a description.
    pub(in crate::lab) fn progress(&mut self, key: CallKey, status: u16, sdp: Option<&[u8]>) {
        self.with(key, |call| call.progress(status, sdp));
    }

    /// 200.
    pub(in crate::lab) fn answer(&mut self, now: Mono, key: CallKey, sdp: &[u8]) {
        self.with(key, |call| call.answer(now, sdp));
    }

    /// 3xx to 6xx.
    pub(in crate::lab) fn refuse(&mut self, now: Mono, key: CallKey, how: Refuse<'_>) {
        self.with(key, |call| call.refuse(now, how));
    }

    /// BYE with this Q.850 cause.
    pub(in crate::lab) fn hang_up(&mut self, now: Mono, key: CallKey, cause: u16) {
        self.with(key, |call| call.hang_up(now, cause));
    }

    /// Forgets a call without a word.
    pub(in crate::lab) fn vanish(&mut self, now: Mono, key: CallKey) {
        self.with(key, |call| call.vanish(now));
    }

    /// One datagram.
    pub(in crate::lab) fn handle_datagram(&mut self, now: Mono, source: SocketAddr, bytes: &[u8]) {
        match Message::parse(bytes) {
            Ok(Message::Request(mut request)) => {
                request.stamp(source);
                match self.by_id.get(&request.common.call_id) {
                    Some(&key) => self.with(key, |call| call.handle_request(now, source, &request)),
                    None => self.handle_first(source, request),
                }
            }
            Ok(Message::Response(response)) => {
                if let Some(&key) = self.by_id.get(&response.common.call_id) {
                    self.with(key, |call| call.handle_response(now, &response));
                }
            }
            Err(_) => self.malformed += 1,
        }
    }

    /// A request with a Call-ID that is not known.
    fn handle_first(&mut self, source: SocketAddr, request: Request) {
        let status = match &request.method {
            method if *method == Method::ACK => {
                self.strays += 1;
                return;
            }
            method if *method == Method::OPTIONS => 200,
            method if *method == Method::INVITE && request.common.to.tag().is_none() => {
                if self.calls.len() < CALLS_MAX {
                    return self.open(source, request);
                }
                503
            }
            _ => {
                self.strays += 1;
                481
            }
        };
        let draft = request.answer(status, Some("lab")).header("Accept", "application/sdp");
        self.out.push_back((request.answer_to(source), draft.to_bytes()));
    }

    fn open(&mut self, source: SocketAddr, request: Request) {
        let key = self.next_key;
        self.next_key += 1;
        let tag = format!("{:x}-{key:x}", self.salt);
        self.by_id.insert(request.common.call_id.clone(), key);
        self.calls.insert(key, UasCall::new(request, source, self.local, tag));
        self.happenings.push_back(Happening::New(key));
    }

    /// The next deadline of any call.
    pub(in crate::lab) fn poll_timeout(&self) -> Option<Mono> {
        self.schedule.next()
    }

    /// Repeats what is due.
    pub(in crate::lab) fn handle_timeout(&mut self, now: Mono) {
        while let Some(key) = self.schedule.due(now) {
            self.with(key, |call| call.handle_timeout(now));
        }
    }

    /// What happened, in order.
    pub(in crate::lab) fn poll_happening(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }

    /// What is to be sent, in order.
    pub(in crate::lab) fn poll_datagram(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.out.pop_front()
    }

    /// Lets a call act, then takes its outputs and its deadline.
    fn with(&mut self, key: CallKey, act: impl FnOnce(&mut UasCall)) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        act(call);
        self.out.append(&mut call.out);
        let mut over = false;
        while let Some(event) = call.events.pop_front() {
            over |= event == UasEvent::Over;
            self.happenings.push_back(Happening::Call(key, event));
        }
        self.schedule.set(key, call.poll_timeout());
        if over {
            self.schedule.set(key, None);
            if let Some(call) = self.calls.remove(&key) {
                self.by_id.remove(&call.invite().common.call_id);
            }
        }
    }
}

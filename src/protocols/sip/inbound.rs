//! Requests from outside: repeats get the answer they had, the rest is judged once.
//!
//! A request inside a dialog is taken from anywhere, if Call-ID and tags match; one that would open
//! a dialog only from the trusted networks, and is refused politely there, as no calls are taken
//! yet. Everything else is dropped without a sound, so that a scanner learns nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::facade::{Counter, Event, Output};
use super::ids::MAGIC_COOKIE;
use super::message::{Draft, Request};
use super::outgoing::{ALLOW, Local};
use super::transaction::invite_server::InviteServer;
use super::transaction::server::Server;
use super::vocabulary::Method;
use crate::domain::time::Mono;

/// Answered requests that are remembered. At 32 s each this is 250 requests a second; above it a
/// request is answered and forgotten, and a repeat of it is judged anew.
const ANSWERED_MAX: usize = 8_192;

/// The name of a server transaction (RFC 3261 §17.2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(String);

/// An answered request with what was answered.
#[derive(Debug)]
struct Answered {
    transaction: Transaction,
    to: SocketAddr,
    response: Vec<u8>,
}

#[derive(Debug)]
enum Transaction {
    Invite(InviteServer),
    Other(Server),
}

/// Server transactions by name.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    answered: BTreeMap<Key, Answered>,
}

/// What to do with a request that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing like it is known.
    New(Origin),
    /// It was dealt with: a repeat, an ACK, or a CANCEL of something answered long ago.
    Handled,
}

/// Where a new request belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It has a To tag.
    InDialog,
    /// It has none and would open a dialog, or stands alone.
    OutOfDialog,
}

impl Inbound {
    /// Sorts a request; repeats are answered right here.
    pub(super) fn sort(&mut self, now: Mono, request: &Request) -> (Seen, Option<Output>) {
        let key = key_of(request, &request.method);
        if let Some(known) = self.answered.get_mut(&key) {
            let again = match &mut known.transaction {
                // RFC 3261 §17.1.1.3: the ACK of a refusal shares the INVITE's branch.
                Transaction::Invite(invite) if request.method == Method::ACK => {
                    invite.handle_ack(now);
                    false
                }
                Transaction::Invite(invite) => invite.handle_repeat(),
                Transaction::Other(other) => !other.is_done(now),
            };
            return (Seen::Handled, again.then(|| known.sending()));
        }
        if request.method == Method::ACK {
            // RFC 3261 §17: an ACK is never answered; there is no 2xx of ours for it to confirm.
            return (Seen::Handled, None);
        }
        let in_dialog = request.common.to.tag().is_some();
        (Seen::New(if in_dialog { Origin::InDialog } else { Origin::OutOfDialog }), None)
    }

    /// Whether an INVITE with the branch of this CANCEL was answered (RFC 3261 §9.2).
    pub(super) fn knows_invite_of(&self, cancel: &Request) -> bool {
        self.answered.contains_key(&key_of(cancel, &Method::INVITE))
    }

    /// Answers a request and remembers the answer. Returns the key whose timer now runs.
    pub(super) fn answer(
        &mut self,
        now: Mono,
        source: SocketAddr,
        request: &Request,
        draft: &Draft,
        outputs: &mut impl Extend<Output>,
    ) -> Option<Key> {
        let to = request.answer_to(source);
        let bytes = draft.to_bytes();
        outputs.extend([Output::Send { to, bytes: bytes.clone() }]);
        if self.answered.len() >= ANSWERED_MAX {
            outputs.extend([Output::Event(Event::Counted(Counter::LimitReached))]);
            return None;
        }
        let transaction = if request.method == Method::INVITE {
            Transaction::Invite(InviteServer::new(now))
        } else {
            Transaction::Other(Server::new(now))
        };
        let key = key_of(request, &request.method);
        self.answered.insert(key.clone(), Answered { transaction, to, response: bytes });
        Some(key)
    }

    /// When a transaction wants to be woken.
    pub(super) fn poll_timeout(&self, key: &Key) -> Option<Mono> {
        match &self.answered.get(key)?.transaction {
            Transaction::Invite(invite) => invite.poll_timeout(),
            Transaction::Other(other) => Some(other.poll_timeout()),
        }
    }

    /// Fires a transaction that is due; what it sends again, if anything.
    pub(super) fn handle_timeout(&mut self, now: Mono, key: &Key) -> Option<Output> {
        let known = self.answered.get_mut(key)?;
        let (again, done) = match &mut known.transaction {
            Transaction::Invite(invite) => (invite.handle_timeout(now), invite.is_done()),
            Transaction::Other(other) => (false, other.is_done(now)),
        };
        let sending = again.then(|| known.sending());
        if done {
            self.answered.remove(key);
        }
        sending
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.answered.is_empty()
    }
}

impl Answered {
    fn sending(&self) -> Output {
        Output::Send { to: self.to, bytes: self.response.clone() }
    }
}

/// RFC 3261 §17.2.3: branch, sent-by and method, where an ACK counts as its INVITE. A branch from
/// before RFC 3261 is no name, so what else identifies the request is put beside it.
pub(super) fn key_of(request: &Request, method: &Method) -> Key {
    let common = &request.common;
    let method = if *method == Method::ACK { &Method::INVITE } else { method };
    let branch = common.via.branch().unwrap_or_default();
    let sent_by = format!("{}:{:?}", common.via.host.to_ascii_lowercase(), common.via.port);
    if branch.starts_with(MAGIC_COOKIE) {
        return Key(format!("{branch} {sent_by} {method}"));
    }
    let from_tag = common.from.tag().unwrap_or_default();
    let number = common.cseq.number;
    Key(format!("{branch} {sent_by} {method} {number} {from_tag} {}", common.call_id))
}

/// An answer of ours with the headers its status asks for.
pub(super) fn draft(request: &Request, status: u16, to_tag: &str, local: &Local) -> Draft {
    let mut draft = request.answer(status, Some(to_tag));
    if status == 405 || (request.method == Method::OPTIONS && status == 200) {
        // RFC 3261 §8.2.1, §11.2.
        draft = draft.header("Allow", ALLOW);
    }
    if status == 420 {
        // RFC 3261 §8.2.2.3: we know none of them.
        for required in request.headers.list("Require") {
            draft = draft.header("Unsupported", required);
        }
    }
    if status == 200 && [Method::OPTIONS, Method::UPDATE].contains(&request.method) {
        draft = draft.header("Contact", local.contact());
    }
    if request.method == Method::OPTIONS && status == 200 {
        draft = draft.header("Accept", "application/sdp");
    }
    draft.header("Server", &*local.user_agent)
}

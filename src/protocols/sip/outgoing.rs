//! Requests of ours: the headers each carries, and the sending of those that are not INVITE.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::facade::{Counter, Event, Output};
use super::message::{Draft, Response};
use super::transaction::client::{self, Client};
use super::vocabulary::Method;
use crate::domain::time::Mono;

/// RFC 3261 §8.1.1.6.
const MAX_FORWARDS: &str = "70";

/// What we answer with other than "not here" (RFC 3261 §20.5).
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";

/// Who we are on the wire.
#[derive(Debug, Clone)]
pub(super) struct Local {
    /// The address in Via and Contact.
    pub(super) addr: SocketAddr,
    /// User-Agent and Server.
    pub(super) user_agent: Arc<str>,
}

impl Local {
    /// Begins a request with the hop's own headers.
    pub(super) fn request(&self, method: &Method, uri: &str, branch: &str) -> Draft {
        // RFC 3581 §3: rport asks for the answer to come to our source port.
        let via = format!("SIP/2.0/UDP {};branch={branch};rport", self.addr);
        Draft::request(method, uri).header("Via", via).header("Max-Forwards", MAX_FORWARDS)
    }

    /// Where requests inside our dialogs come.
    pub(super) fn contact(&self) -> String {
        format!("<sip:campanile@{}>", self.addr)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// By a final response.
    Answered(u16),
    /// Nothing came in 64·T1, or the datagram could not be sent.
    NoAnswer,
}

/// A request other than INVITE or ACK on its way, with its client transaction.
#[derive(Debug)]
pub(super) struct RequestOut {
    transaction: Client,
    method: Method,
    branch: String,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl RequestOut {
    /// Starts a request; the first sending comes out of [`Self::drain`].
    pub(super) fn start(
        now: Mono,
        method: Method,
        branch: String,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) -> Self {
        Self { transaction: Client::new(now), method, branch, to, bytes }
    }

    /// RFC 3261 §17.1.3: branch and CSeq method name the transaction.
    pub(super) fn is(&self, branch: &str, method: &Method) -> bool {
        self.branch == branch && self.method == *method
    }

    pub(super) fn branch(&self) -> &str {
        &self.branch
    }

    /// [`Self::is`] for a response.
    pub(super) fn is_answered_by(&self, response: &Response) -> bool {
        let branch = response.common.via.branch().unwrap_or_default();
        self.is(branch, &response.common.cseq.method)
    }

    pub(super) fn handle_response(&mut self, now: Mono, status: u16) {
        self.transaction.handle_response(now, status);
    }

    pub(super) fn handle_transport_error(&mut self) {
        self.transaction.handle_transport_error();
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) {
        self.transaction.handle_timeout(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        self.transaction.poll_timeout()
    }

    pub(super) fn is_done(&self) -> bool {
        self.transaction.is_done()
    }

    /// Moves what is to be sent into `outputs`; the outcome comes once.
    pub(super) fn drain(&mut self, outputs: &mut VecDeque<Output>) -> Option<Outcome> {
        let mut outcome = None;
        while let Some(output) = self.transaction.poll_output() {
            match output {
                client::Output::Send => outputs.push_back(self.sending()),
                client::Output::SendAgain => {
                    outputs.push_back(Output::Event(Event::Counted(Counter::RetransmissionSent)));
                    outputs.push_back(self.sending());
                }
                client::Output::Answered(status) => outcome = Some(Outcome::Answered(status)),
                client::Output::TimedOut | client::Output::NotSent => {
                    outcome = Some(Outcome::NoAnswer);
                }
            }
        }
        outcome
    }

    fn sending(&self) -> Output {
        Output::Send { to: self.to, bytes: self.bytes.clone() }
    }
}

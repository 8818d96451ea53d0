//! One call of ours from INVITE to its single end (RFC 3261 §9, §13, §15).
//!
//! ```text
//!            2xx               BYE of ours               answered
//! Calling ──────► Established ─────────────► Ending ─────────────────┐
//!    │ │               │ BYE of theirs          │ nothing: Lost      ▼
//!    │ │               └────────────────────────┴─────────────────► Over
//!    │ │ 2xx, but we had cancelled                                   ▲
//!    │ └──────────────────────────► Crossed ── BYE answered or lost ─┤
//!    └── 3xx–6xx, timer B, not sent, 64·T1 after CANCEL ─────────────┘
//! ```
//!
//! In every state a 2xx is acknowledged; one with a tag not seen before, after the first, comes
//! from another branch of a fork and is ended with BYE. In Over the call lives on until repeats of
//! what ended it can come no more.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::facade::{
    Counter, DialogState, EndedBy, Event, Failure, FailureKind, Invite, Output, ReasonValue,
};
use super::headers::Q850;
use super::message::{Request, Response};
use super::outgoing::{Local, Outcome, RequestOut};
use super::own_invite::OwnInvite;
use super::transaction::SIXTY_FOUR_T1;
use super::transaction::invite_client::{self, InviteClient};
use super::vocabulary::Method;
use crate::domain::time::{Duration, Mono};

/// How long a call may go without a final response after its first provisional one. Proxies give
/// up after three minutes (timer C, RFC 3261 §16.6); an agent's phone may ring longer.
pub(super) const PROCEEDING_MAX: Duration = Duration::from_mins(10);

/// Branches of a fork that are acknowledged and ended; further ones end by their own timers.
const FORKS_MAX: usize = 8;
/// Tags of early dialogs that are remembered, so that requests inside them are recognised.
const EARLY_DIALOGS_MAX: usize = 8;

/// ITU-T Q.850: another branch was chosen.
const FORK_REASON: &str = "Q.850;cause=26;text=\"Non-selected user clearing\"";

/// How far taking the INVITE back has come.
#[derive(Debug)]
enum Cancel {
    NotAsked,
    /// RFC 3261 §9.1: no CANCEL before a provisional response, the INVITE may not have arrived.
    Waiting(ReasonValue),
    Sent {
        reason: ReasonValue,
        request: RequestOut,
        give_up_at: Mono,
    },
}

#[derive(Debug)]
enum Stage {
    Calling { limit_at: Option<Mono>, limit_reached: bool, cancel: Cancel },
    Established(Box<DialogState>),
    Ending { remote_tag: String, bye: RequestOut },
    Crossed { remote_tag: String, bye: RequestOut },
    Over,
}

/// A 2xx that was acknowledged; its repeats get the same ACK.
#[derive(Debug)]
struct Acknowledged {
    remote_tag: String,
    peer: SocketAddr,
    ack: Vec<u8>,
}

/// One outgoing call.
#[derive(Debug)]
pub(super) struct UacCall {
    own: OwnInvite,
    bytes: Vec<u8>,
    transaction: InviteClient,
    stage: Stage,
    early_tags: Vec<String>,
    acknowledged: Vec<Acknowledged>,
    /// Requests whose outcome changes nothing any more.
    errands: Vec<RequestOut>,
    outputs: VecDeque<Output>,
}

impl UacCall {
    /// Sends the INVITE.
    pub(super) fn new(now: Mono, invite: &Invite, local: &Local) -> Self {
        let own = OwnInvite::of(invite.orphan(local.addr), &local.user_agent);
        let bytes = own.invite(invite);
        let cancel = Cancel::NotAsked;
        let mut call = Self {
            own,
            bytes,
            transaction: InviteClient::new(now),
            stage: Stage::Calling { limit_at: None, limit_reached: false, cancel },
            early_tags: Vec::new(),
            acknowledged: Vec::new(),
            errands: Vec::new(),
            outputs: VecDeque::new(),
        };
        call.settle(now, None);
        call
    }

    /// Takes the call back, or ends it where it is answered.
    pub(super) fn cancel(&mut self, now: Mono, reason: ReasonValue) {
        if let Stage::Calling { cancel: cancel @ Cancel::NotAsked, .. } = &mut self.stage {
            *cancel = if self.transaction.is_proceeding() {
                let request = self.own.cancel(now, reason);
                Cancel::Sent { reason, request, give_up_at: now + SIXTY_FOUR_T1 }
            } else {
                Cancel::Waiting(reason)
            };
        }
        if let Stage::Established(dialog) = &mut self.stage {
            let bye = self.own.bye(now, dialog, reason.header_value());
            self.stage = Stage::Ending { remote_tag: dialog.remote_tag.clone(), bye };
        }
        self.settle(now, None);
    }

    /// Takes a response with our Call-ID; false where it belongs to no transaction of ours.
    pub(super) fn handle_response(&mut self, now: Mono, response: &Response) -> bool {
        let is_invite = response.common.cseq.method == Method::INVITE
            && response.common.via.branch() == Some(&self.own.branch());
        if is_invite {
            self.handle_invite_response(now, response);
        } else {
            let Some(request) = self.requests().find(|r| r.is_answered_by(response)) else {
                return false;
            };
            request.handle_response(now, response.status);
        }
        self.settle(now, Some(response));
        true
    }

    fn handle_invite_response(&mut self, now: Mono, response: &Response) {
        if self.transaction.is_done() {
            // Timer D or M is over, or we had stopped waiting; the far side still deserves its ACK.
            if response.is_success() {
                self.accept(now, response);
            } else if !response.is_provisional() {
                self.acknowledge_refusal(response);
            }
            return;
        }
        let tag = response.common.to.tag().filter(|_| response.is_provisional());
        if let Some(tag) = tag {
            let known = self.early_tags.iter().any(|early| early == tag);
            if !known && self.early_tags.len() < EARLY_DIALOGS_MAX {
                self.early_tags.push(tag.to_owned());
            }
        }
        self.transaction.handle_response(now, response.status);
    }

    /// The datagram with this branch and method could not be sent.
    pub(super) fn handle_transport_error(&mut self, now: Mono, branch: &str, method: &Method) {
        if *method == Method::INVITE {
            self.transaction.handle_transport_error();
        } else if let Some(request) = self.requests().find(|r| r.is(branch, method)) {
            request.handle_transport_error();
        }
        self.settle(now, None);
    }

    /// Answers a request with our Call-ID and tag; `None` where their tag is of no dialog here.
    pub(super) fn handle_request(&mut self, now: Mono, request: &Request) -> Option<u16> {
        let tag = request.common.from.tag().unwrap_or_default();
        let is_early = self.early_tags.iter().any(|early| early == tag);
        let is_confirmed = self.acknowledged.iter().any(|a| a.remote_tag == tag);
        (is_early || is_confirmed).then(|| self.status_of(now, request, tag, is_early))
    }

    fn status_of(&mut self, now: Mono, request: &Request, tag: &str, is_early: bool) -> u16 {
        if request.method == Method::BYE {
            return self.handle_bye(now, tag, request.q850());
        }
        match &mut self.stage {
            Stage::Established(dialog) if dialog.remote_tag == tag => {
                let number = request.common.cseq.number;
                // RFC 3261 §12.2.2: an older request than one that was seen.
                if dialog.remote_cseq.is_some_and(|seen| number < seen) {
                    return 500;
                }
                dialog.remote_cseq = Some(number);
                // RFC 3311 §5.2: UPDATE moves the remote target.
                let moved = request.contact().filter(|_| request.method == Method::UPDATE);
                if let Some(contact) = moved.filter(|_| request.body.is_empty()) {
                    dialog.remote_target = contact.uri;
                    dialog.peer = self.own.next_hop(dialog);
                }
                status_in_dialog(request)
            }
            Stage::Calling { .. } if is_early => status_in_dialog(request),
            Stage::Calling { .. }
            | Stage::Established(_)
            | Stage::Ending { .. }
            | Stage::Crossed { .. }
            | Stage::Over => 481,
        }
    }

    fn handle_bye(&mut self, now: Mono, tag: &str, reason: Option<Q850>) -> u16 {
        let leg = self.own.leg;
        let ended = |by, reason| Output::Event(Event::Ended { leg, by, reason });
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Established(dialog) if dialog.remote_tag == tag => {
                self.outputs.push_back(ended(EndedBy::Them, reason));
            }
            Stage::Ending { remote_tag, bye } if remote_tag == tag => {
                self.count(Counter::CrossedBye);
                self.outputs.push_back(ended(EndedBy::Us, reason));
                self.errands.push(bye);
            }
            Stage::Crossed { remote_tag, bye } if remote_tag == tag => {
                self.count(Counter::CrossedBye);
                self.outputs.push_back(ended(EndedBy::CancelCrossedAnswer, reason));
                self.errands.push(bye);
            }
            stage => {
                // The BYE of a fork that we are ending is answered; a dialog that is over, or one
                // that never got a 2xx (§15: the callee must not), is not there.
                self.stage = stage;
                let forks = self.acknowledged.iter().skip(1);
                return if forks.into_iter().any(|a| a.remote_tag == tag) { 200 } else { 481 };
            }
        }
        self.settle(now, None);
        200
    }

    /// When to call [`Self::handle_timeout`] next.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        let stage = match &self.stage {
            Stage::Calling { cancel: Cancel::Sent { request, give_up_at, .. }, .. } => {
                request.poll_timeout().into_iter().chain([*give_up_at]).min()
            }
            Stage::Calling { limit_at, cancel: Cancel::NotAsked, .. } => *limit_at,
            Stage::Ending { bye, .. } | Stage::Crossed { bye, .. } => bye.poll_timeout(),
            Stage::Calling { .. } | Stage::Established(_) | Stage::Over => None,
        };
        let errands = self.errands.iter().filter_map(RequestOut::poll_timeout);
        errands.chain(stage).chain(self.transaction.poll_timeout()).min()
    }

    /// Fires what is due.
    pub(super) fn handle_timeout(&mut self, now: Mono) {
        self.transaction.handle_timeout(now);
        for request in self.requests() {
            request.handle_timeout(now);
        }
        self.settle(now, None);
        let mut limit_is_due = false;
        let mut cancel_is_over = false;
        if let Stage::Calling { limit_at, limit_reached, cancel } = &mut self.stage {
            match cancel {
                Cancel::NotAsked => {
                    limit_is_due = limit_at.is_some_and(|at| now >= at);
                    *limit_reached |= limit_is_due;
                }
                Cancel::Sent { give_up_at, .. } => cancel_is_over = now >= *give_up_at,
                Cancel::Waiting(_) => {}
            }
        }
        if limit_is_due {
            self.cancel(now, ReasonValue::RingTimeout);
        }
        if cancel_is_over {
            // RFC 3261 §9.1: 64·T1 after the CANCEL the INVITE counts as taken back.
            self.transaction.abandon();
            self.fail(FailureKind::TransactionTimeout, None);
            self.settle_requests();
        }
    }

    /// The next thing to do; call until `None` after every `handle_*`.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the call is over and no repeat of anything can come.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Over)
            && self.transaction.is_done()
            && self.errands.is_empty()
            && self.outputs.is_empty()
    }

    /// Every request of ours that is on its way.
    fn requests(&mut self) -> impl Iterator<Item = &mut RequestOut> {
        let current = match &mut self.stage {
            Stage::Calling { cancel: Cancel::Sent { request, .. }, .. } => Some(request),
            Stage::Ending { bye, .. } | Stage::Crossed { bye, .. } => Some(bye),
            Stage::Calling { .. } | Stage::Established(_) | Stage::Over => None,
        };
        current.into_iter().chain(self.errands.iter_mut())
    }

    /// Carries out what the transactions ask for. `response` is the one just handled.
    fn settle(&mut self, now: Mono, response: Option<&Response>) {
        while let Some(output) = self.transaction.poll_output() {
            match (output, response) {
                (invite_client::Output::Send, _) => self.send_invite(),
                (invite_client::Output::SendAgain, _) => {
                    self.count(Counter::RetransmissionSent);
                    self.send_invite();
                }
                (invite_client::Output::SendAck, Some(refusal)) => {
                    self.acknowledge_refusal(refusal);
                }
                (invite_client::Output::Deliver, Some(response)) => self.deliver(now, response),
                (invite_client::Output::TimedOut, _) => {
                    self.fail(FailureKind::TransactionTimeout, None);
                }
                (invite_client::Output::NotSent, _) => {
                    self.fail(FailureKind::TransportError, None);
                }
                // These two come out of a response only.
                (invite_client::Output::SendAck | invite_client::Output::Deliver, None) => {}
            }
        }
        self.settle_requests();
    }

    fn settle_requests(&mut self) {
        let leg = self.own.leg;
        let mut ended = None;
        match &mut self.stage {
            Stage::Calling { cancel: Cancel::Sent { request, .. }, .. } => {
                // Whatever the CANCEL is answered with, the INVITE's own response decides (§9.1).
                let _outcome = request.drain(&mut self.outputs);
            }
            Stage::Ending { bye, .. } => {
                ended = bye.drain(&mut self.outputs).map(|outcome| match outcome {
                    // §15.1.1: any final response ends the session, a 481 or 408 too.
                    Outcome::Answered(_) => EndedBy::Us,
                    Outcome::NoAnswer => EndedBy::Lost,
                });
            }
            Stage::Crossed { bye, .. } => {
                let outcome = bye.drain(&mut self.outputs);
                ended = outcome.map(|_| EndedBy::CancelCrossedAnswer);
            }
            Stage::Calling { .. } | Stage::Established(_) | Stage::Over => {}
        }
        if let Some(by) = ended {
            self.outputs.push_back(Output::Event(Event::Ended { leg, by, reason: None }));
            self.finish();
        }
        for errand in &mut self.errands {
            let _outcome = errand.drain(&mut self.outputs);
        }
        self.errands.retain(|errand| !errand.is_done());
    }

    /// Enters Over; a request still on its way goes on as an errand.
    fn finish(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Calling { cancel: Cancel::Sent { request, .. }, .. } => {
                self.errands.push(request);
            }
            Stage::Ending { bye, .. } | Stage::Crossed { bye, .. } => self.errands.push(bye),
            Stage::Calling { .. } | Stage::Established(_) | Stage::Over => {}
        }
    }

    fn deliver(&mut self, now: Mono, response: &Response) {
        if response.is_success() {
            self.accept(now, response);
        } else if response.is_provisional() {
            self.progress(now, response);
        } else {
            self.fail(FailureKind::Final, Some(response));
        }
    }

    fn progress(&mut self, now: Mono, response: &Response) {
        let Stage::Calling { limit_at, cancel, .. } = &mut self.stage else { return };
        limit_at.get_or_insert(now + PROCEEDING_MAX);
        if let Cancel::Waiting(reason) = *cancel {
            let request = self.own.cancel(now, reason);
            *cancel = Cancel::Sent { reason, request, give_up_at: now + SIXTY_FOUR_T1 };
        }
        if response.status != 100 {
            let sdp = response.sdp().map(<[u8]>::to_vec);
            let (leg, status) = (self.own.leg, response.status);
            self.outputs.push_back(Output::Event(Event::Progress { leg, status, sdp }));
        }
    }

    /// Acknowledges a 2xx and decides what it is: the answer, a repeat, a crossing, or a fork.
    fn accept(&mut self, now: Mono, response: &Response) {
        let tag = response.common.to.tag().unwrap_or_default();
        if let Some(repeat) = self.acknowledged.iter().find(|a| a.remote_tag == tag) {
            // §13.2.2.4: the ACK was lost; the same one goes out for every repeat.
            let (to, bytes) = (repeat.peer, repeat.ack.clone());
            self.outputs.push_back(Output::Send { to, bytes });
            self.count(Counter::RetransmissionReceived);
            return;
        }
        if self.acknowledged.len() > FORKS_MAX {
            self.count(Counter::LimitReached);
            return;
        }
        let mut dialog = self.own.dialog(response);
        let ack = self.own.ack(&dialog);
        self.outputs.push_back(Output::Send { to: dialog.peer, bytes: ack.clone() });
        let (remote_tag, peer) = (dialog.remote_tag.clone(), dialog.peer);
        self.acknowledged.push(Acknowledged { remote_tag: remote_tag.clone(), peer, ack });
        match &self.stage {
            Stage::Calling { cancel: Cancel::NotAsked, .. } => {
                let sdp = response.sdp().map(<[u8]>::to_vec).unwrap_or_default();
                self.stage = Stage::Established(Box::new(dialog.clone()));
                let (leg, dialog) = (self.own.leg, Box::new(dialog));
                self.outputs.push_back(Output::Event(Event::Answered { leg, sdp, dialog }));
            }
            Stage::Calling {
                cancel: Cancel::Waiting(reason) | Cancel::Sent { reason, .. },
                ..
            } => {
                let reason = *reason;
                self.cross(now, dialog, reason);
            }
            Stage::Established(_) | Stage::Ending { .. } | Stage::Crossed { .. } | Stage::Over => {
                self.count(Counter::Forked2xx);
                self.errands.push(self.own.bye(now, &mut dialog, FORK_REASON));
            }
        }
        self.settle_requests();
    }

    /// A 2xx that crossed our CANCEL: the session exists and has to be ended (§9.1, §15).
    fn cross(&mut self, now: Mono, mut dialog: DialogState, reason: ReasonValue) {
        self.count(Counter::CancelCrossed2xx);
        let bye = self.own.bye(now, &mut dialog, reason.header_value());
        self.finish();
        self.stage = Stage::Crossed { remote_tag: dialog.remote_tag, bye };
    }

    fn fail(&mut self, kind: FailureKind, response: Option<&Response>) {
        let Stage::Calling { cancel, limit_reached, .. } = &self.stage else { return };
        let failure = Failure {
            status: response.map(|r| r.status),
            phrase: response.map(Response::phrase_readable).unwrap_or_default(),
            q850: response.and_then(Response::q850).map(|q850| q850.cause),
            reason_protocol: response.and_then(Response::reason),
            retry_after_s: response.and_then(Response::retry_after_s),
            cancelled_by_us: !matches!(cancel, Cancel::NotAsked),
            kind: if *limit_reached { FailureKind::NoProgress } else { kind },
        };
        let leg = self.own.leg;
        self.outputs.push_back(Output::Event(Event::Failed { leg, failure }));
        self.finish();
    }

    fn acknowledge_refusal(&mut self, refusal: &Response) {
        if !matches!(self.stage, Stage::Calling { .. }) {
            self.count(Counter::RetransmissionReceived);
        }
        let bytes = self.own.ack_refusal(refusal);
        self.outputs.push_back(Output::Send { to: self.own.target.addr, bytes });
    }

    fn send_invite(&mut self) {
        let bytes = self.bytes.clone();
        self.outputs.push_back(Output::Send { to: self.own.target.addr, bytes });
    }

    fn count(&mut self, counter: Counter) {
        self.outputs.push_back(Output::Event(Event::Counted(counter)));
    }
}

/// What a request inside a live dialog is answered with, BYE apart.
fn status_in_dialog(request: &Request) -> u16 {
    match &request.method {
        // RFC 3261 §14.2, RFC 3311 §5.2: our session stays as it is; 488 leaves the old one in force.
        &Method::INVITE => 488,
        &Method::UPDATE if !request.body.is_empty() => 488,
        // RFC 6086 §4.2.2 of old INFO without a package: the dialog is there, the content unused.
        &Method::OPTIONS | &Method::INFO | &Method::UPDATE => 200,
        // RFC 6665 §4.1.3: no subscription of ours. RFC 3262 §3: no reliable response of ours.
        &Method::NOTIFY | &Method::PRACK => 481,
        Method::Known(_) => 405,
        Method::Other(_) => 501,
    }
}

//! The end of a leg whose process died: CANCEL or BYE, and what came of it.
//!
//! ```text
//!              200 to CANCEL, then 487 … ───────────────► CancelledBeforeAnswer
//! Cancelling ─ 481 to CANCEL ───────────────────────────► NeverKnown
//!     │        nothing in 64·T1 ────────────────────────► Silent
//!     │ 2xx to the INVITE, or 200 to CANCEL and no final response in T2
//!     ▼        200 to BYE ──────────────────────────────► EndedByUs
//! Ending ───── 481 to BYE, BYE of theirs ───────────────► EndedByThem (or refused long ago)
//!              nothing in 64·T1 ────────────────────────► Silent
//! ```
//!
//! The second way from Cancelling to Ending is for a call that was answered and acknowledged before
//! its dialog was durable. Its CANCEL comes too late and changes nothing, but the 200 to it carries
//! the callee's tag (RFC 3261 §9.2), and a BYE needs nothing more. Where it was still ringing, BYE
//! ends the early dialog just as well (§15).

use std::collections::VecDeque;
use std::sync::Arc;

use super::facade::{DialogState, Event, Orphan, OrphanEnd, Output, ReasonValue};
use super::message::{Request, Response};
use super::outgoing::{Outcome, RequestOut};
use super::own_invite::OwnInvite;
use super::transaction::{SIXTY_FOUR_T1, T2};
use super::vocabulary::Method;
use crate::domain::time::Mono;

#[derive(Debug)]
enum Stage {
    Cancelling {
        cancel: RequestOut,
        give_up_at: Mono,
        learned: Option<Box<(DialogState, Mono)>>,
    },
    /// `is_certain`: the call was answered for sure.
    Ending {
        remote_tag: String,
        bye: RequestOut,
        is_certain: bool,
        give_up_at: Mono,
    },
    Over,
}

/// One leg on its way out.
#[derive(Debug)]
pub(super) struct OrphanCall {
    own: OwnInvite,
    stage: Stage,
    outputs: VecDeque<Output>,
}

impl OrphanCall {
    /// Sends the CANCEL or the BYE.
    pub(super) fn new(now: Mono, mut orphan: Orphan, user_agent: &Arc<str>) -> Self {
        let dialog = orphan.dialog.take();
        let own = OwnInvite::of(orphan, user_agent);
        let give_up_at = now + SIXTY_FOUR_T1;
        let stage = if let Some(dialog) = dialog {
            end_dialog(now, &own, dialog, true, give_up_at)
        } else {
            let cancel = own.cancel(now, ReasonValue::Recovered);
            Stage::Cancelling { cancel, give_up_at, learned: None }
        };
        let mut call = Self { own, stage, outputs: VecDeque::new() };
        call.settle();
        call
    }

    /// Takes a response with the leg's Call-ID; false where it belongs to nothing here.
    pub(super) fn handle_response(&mut self, now: Mono, response: &Response) -> bool {
        let is_invite = response.common.cseq.method == Method::INVITE
            && response.common.via.branch() == Some(&self.own.branch());
        if is_invite {
            self.handle_invite_response(now, response);
        } else {
            let request = match &mut self.stage {
                Stage::Cancelling { cancel, .. } => cancel,
                Stage::Ending { bye, .. } => bye,
                Stage::Over => return false,
            };
            if !request.is_answered_by(response) {
                return false;
            }
            request.handle_response(now, response.status);
            self.learn(now, response);
        }
        self.settle();
        true
    }

    /// The INVITE of the process before us is answered at last.
    fn handle_invite_response(&mut self, now: Mono, response: &Response) {
        if response.is_provisional() {
            return;
        }
        if !response.is_success() {
            let bytes = self.own.ack_refusal(response);
            self.outputs.push_back(Output::Send { to: self.own.target.addr, bytes });
            match &self.stage {
                // Refused, whatever made it so; a BYE that was only a guess needs no answer.
                Stage::Cancelling { .. } | Stage::Ending { is_certain: false, .. } => {
                    self.end(OrphanEnd::CancelledBeforeAnswer { status: response.status });
                }
                Stage::Ending { .. } | Stage::Over => {}
            }
            return;
        }
        let dialog = self.own.dialog(response);
        let bytes = self.own.ack(&dialog);
        self.outputs.push_back(Output::Send { to: dialog.peer, bytes });
        match &self.stage {
            Stage::Cancelling { .. } | Stage::Ending { is_certain: false, .. } => {
                self.stage = end_dialog(now, &self.own, dialog, true, now + SIXTY_FOUR_T1);
            }
            // A repeat.
            Stage::Ending { .. } | Stage::Over => {}
        }
    }

    /// A 200 to our CANCEL names the callee's tag.
    fn learn(&mut self, now: Mono, response: &Response) {
        if let Stage::Cancelling { learned: learned @ None, .. } = &mut self.stage
            && response.is_success()
            && response.common.to.tag().is_some()
        {
            *learned = Some(Box::new((self.own.dialog(response), now + T2)));
        }
    }

    /// Answers a request with the leg's Call-ID and our tag; `None` where their tag is known and is
    /// another.
    pub(super) fn handle_request(&mut self, request: &Request) -> Option<u16> {
        let their_tag = request.common.from.tag().unwrap_or_default();
        match &self.stage {
            Stage::Ending { remote_tag, .. } if remote_tag != their_tag => return None,
            // Their tag died with the process before us; ours and the Call-ID are proof enough.
            Stage::Cancelling { .. } | Stage::Ending { .. } if request.method == Method::BYE => {}
            Stage::Cancelling { .. } | Stage::Ending { .. } | Stage::Over => return Some(481),
        }
        self.end(OrphanEnd::EndedByThem);
        Some(200)
    }

    /// The datagram with this branch and method could not be sent.
    pub(super) fn handle_transport_error(&mut self, branch: &str, method: &Method) {
        match &mut self.stage {
            Stage::Cancelling { cancel: request, .. } | Stage::Ending { bye: request, .. }
                if request.is(branch, method) =>
            {
                request.handle_transport_error();
            }
            Stage::Cancelling { .. } | Stage::Ending { .. } | Stage::Over => {}
        }
        self.settle();
    }

    /// When to call [`Self::handle_timeout`] next.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        match &self.stage {
            Stage::Cancelling { cancel, give_up_at, learned } => {
                let learned = learned.as_ref().map(|known| known.1);
                cancel.poll_timeout().into_iter().chain(learned).chain([*give_up_at]).min()
            }
            Stage::Ending { bye, give_up_at, .. } => {
                bye.poll_timeout().into_iter().chain([*give_up_at]).min()
            }
            Stage::Over => None,
        }
    }

    /// Fires what is due.
    pub(super) fn handle_timeout(&mut self, now: Mono) {
        let mut learned_now = None;
        match &mut self.stage {
            Stage::Cancelling { cancel, learned, give_up_at } => {
                cancel.handle_timeout(now);
                if learned.as_ref().is_some_and(|known| now >= known.1) {
                    learned_now = learned.take().map(|known| (known.0, *give_up_at));
                }
            }
            Stage::Ending { bye, .. } => bye.handle_timeout(now),
            Stage::Over => {}
        }
        if let Some((dialog, give_up_at)) = learned_now {
            self.stage = end_dialog(now, &self.own, dialog, false, give_up_at);
        }
        self.settle();
        let due = match &self.stage {
            Stage::Cancelling { give_up_at, .. } | Stage::Ending { give_up_at, .. } => {
                now >= *give_up_at
            }
            Stage::Over => false,
        };
        if due {
            self.end(OrphanEnd::Silent);
        }
    }

    /// The next thing to do; call until `None` after every `handle_*`.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the end was told and every output taken. Repeats after it are strays.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Over) && self.outputs.is_empty()
    }

    fn settle(&mut self) {
        let end = match &mut self.stage {
            Stage::Cancelling { cancel, .. } => match cancel.drain(&mut self.outputs) {
                Some(Outcome::Answered(481)) => Some(OrphanEnd::NeverKnown),
                Some(Outcome::NoAnswer) => Some(OrphanEnd::Silent),
                // Anything else: the INVITE's own response decides.
                Some(Outcome::Answered(_)) | None => None,
            },
            Stage::Ending { bye, .. } => match bye.drain(&mut self.outputs) {
                Some(Outcome::Answered(200..300)) => Some(OrphanEnd::EndedByUs),
                // The dialog is gone there: they ended it, or the missing ACK did. Where the dialog was a
                // guess, the call was refused or is over, and its INVITE is answered for good.
                Some(Outcome::Answered(_)) => Some(OrphanEnd::EndedByThem),
                Some(Outcome::NoAnswer) => Some(OrphanEnd::Silent),
                None => None,
            },
            Stage::Over => None,
        };
        if let Some(how) = end {
            self.end(how);
        }
    }

    fn end(&mut self, how: OrphanEnd) {
        self.stage = Stage::Over;
        let leg = self.own.leg;
        self.outputs.push_back(Output::Event(Event::OrphanEnded { leg, how }));
    }
}

/// Sends BYE in a dialog.
fn end_dialog(
    now: Mono,
    own: &OwnInvite,
    mut dialog: DialogState,
    is_certain: bool,
    give_up_at: Mono,
) -> Stage {
    let bye = own.bye(now, &mut dialog, ReasonValue::Recovered.header_value());
    Stage::Ending { remote_tag: dialog.remote_tag, bye, is_certain, give_up_at }
}

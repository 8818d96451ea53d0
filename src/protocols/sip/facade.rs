//! What the shell tells the endpoint and what it hears back.
//!
//! Numbers and names are personal: every type here that holds one masks it in `Debug`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::headers::Q850;
use super::profile::{InDialogTo, Profile};
use crate::domain::ids::LegId;

/// What the shell tells the endpoint.
#[derive(Debug, Clone)]
pub enum Command {
    /// Opens a dialog. A customer's leg has the attempt's uuid ([`crate::domain::ids::AttemptId::leg`]).
    Invite(Invite),
    /// Takes an unanswered INVITE back. Waits for a 1xx first (RFC 3261 §9.1); a 2xx that crosses
    /// is acknowledged and ended with BYE. On a leg that is answered already it is a
    /// [`Command::Bye`], on one that is over it does nothing.
    Cancel {
        /// The leg.
        leg: LegId,
        /// Why, for the carrier's records.
        reason: ReasonValue,
    },
    /// Ends an established dialog; on a leg that is not answered yet it is a [`Command::Cancel`].
    Bye {
        /// The leg.
        leg: LegId,
        /// Why, for the carrier's records.
        reason: ReasonValue,
    },
    /// Ends a leg of a process that died, and follows it to its end.
    Orphan(Box<Orphan>),
    /// Asks a target whether it is there.
    Options {
        /// Comes back in [`Event::OptionsAnswered`].
        id: u64,
        /// Whom to ask.
        target: Target,
    },
    /// Replaces the networks from which requests that open a dialog are answered at all.
    Networks(Vec<IpNet>),
}

/// One outgoing call.
#[derive(Clone)]
pub struct Invite {
    /// The leg; Call-ID, From tag and branch derive from it.
    pub leg: LegId,
    /// Where the datagram goes and the Request-URI.
    pub target: Target,
    /// Who we say is calling.
    pub from: CallerId,
    /// Our offer.
    pub sdp: Vec<u8>,
    /// How this target likes to be spoken to.
    pub profile: Arc<Profile>,
    /// Further headers of the trunk; the profile's own (P-Asserted-Identity) are added by us.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite({:?} to {:?})", self.leg, self.target)
    }
}

/// Where a request goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where the datagram goes.
    pub addr: SocketAddr,
    /// The Request-URI.
    pub uri: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.addr)
    }
}

/// Who we say is calling.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerId {
    /// The name shown, if any.
    pub display: Option<String>,
    /// The number or user.
    pub user: String,
    /// Our domain towards this trunk: a name, or an address with or without port.
    pub host: String,
}

impl fmt::Debug for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallerId(…@{})", self.host)
    }
}

/// Enough to end a leg after a restart; made by [`Invite::orphan`] before the INVITE is sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The leg; its identifiers derive from it.
    pub leg: LegId,
    /// Where its INVITE went: a CANCEL repeats address and Request-URI.
    pub target: Target,
    /// The address in its Via: a CANCEL repeats it (RFC 3261 §9.1).
    pub local: SocketAddr,
    /// Its From without the tag: repeated too.
    pub from: String,
    /// Its Route values: repeated too.
    pub routes: Vec<String>,
    /// Where requests inside its dialog go.
    pub in_dialog_to: InDialogTo,
    /// Where the answer was known, the dialog to end with BYE.
    pub dialog: Option<DialogState>,
}

impl fmt::Debug for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Orphan({:?} to {:?}, {:?})", self.leg, self.target, self.dialog)
    }
}

impl Invite {
    /// What a later process needs to end this call, if it is sent from `local` (the address in
    /// Via). The dialog is added once the call is answered.
    pub fn orphan(&self, local: SocketAddr) -> Orphan {
        let routes = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Route"));
        Orphan {
            leg: self.leg,
            target: self.target.clone(),
            local,
            from: self.profile.from(&self.from).to_string(),
            routes: routes.map(|(_, value)| value.clone()).collect(),
            in_dialog_to: self.profile.in_dialog_to,
            dialog: None,
        }
    }
}

/// A confirmed dialog (RFC 3261 §12): enough to send BYE from another process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogState {
    /// The name of the call.
    pub call_id: String,
    /// Our half of the dialog's name.
    pub local_tag: String,
    /// Their half.
    pub remote_tag: String,
    /// Their Contact: the Request-URI inside the dialog.
    pub remote_target: String,
    /// Route values in the order we write them.
    pub route_set: Vec<String>,
    /// The number of our last request in the dialog.
    pub local_cseq: u32,
    /// The number of their last request, if there was one.
    pub remote_cseq: Option<u32>,
    /// Where our datagrams inside the dialog go.
    pub peer: SocketAddr,
    /// From of our requests, without the tag.
    pub local_uri: String,
    /// To of our requests, without the tag.
    pub remote_uri: String,
}

impl fmt::Debug for DialogState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DialogState({}, tags {}/{})", self.call_id, self.local_tag, self.remote_tag)
    }
}

/// Why we end a leg, for the carrier's records (RFC 3326).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReasonValue {
    /// The conversation is over.
    NormalClearing,
    /// The agent hung up.
    AgentHungUp,
    /// Nobody answered in time.
    RingTimeout,
    /// Answered, and no agent was free in time.
    NoAgent,
    /// The agent's own leg was lost.
    AgentLost,
    /// Pacing took the call back before it was answered.
    NotNeeded,
    /// The process stops.
    Shutdown,
    /// The process that made the call is gone.
    Recovered,
}

impl ReasonValue {
    /// The header's value. Causes are ITU-T Q.850's.
    pub const fn header_value(self) -> &'static str {
        match self {
            Self::NormalClearing => "Q.850;cause=16;text=\"Normal call clearing\"",
            Self::AgentHungUp => "Q.850;cause=16;text=\"Agent hung up\"",
            Self::RingTimeout => "Q.850;cause=19;text=\"No answer from user\"",
            Self::NoAgent => "Q.850;cause=16;text=\"No agent\"",
            Self::AgentLost => "Q.850;cause=27;text=\"Agent out of order\"",
            Self::NotNeeded => "Q.850;cause=16;text=\"Call taken back\"",
            Self::Shutdown => "Q.850;cause=31;text=\"Shutdown\"",
            Self::Recovered => "Q.850;cause=41;text=\"Recovered after a failure\"",
        }
    }
}

/// What the endpoint tells the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Put this datagram on the wire.
    Send {
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Something happened.
    Event(Event),
}

/// What happened. Every leg ends once: with `Failed`, `Ended` or, for an orphan, `OrphanEnded`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A provisional response other than 100, each time one comes.
    Progress {
        /// The leg.
        leg: LegId,
        /// 101 to 199.
        status: u16,
        /// Early media's description.
        sdp: Option<Vec<u8>>,
    },
    /// A 2xx; its ACK is already among the outputs.
    Answered {
        /// The leg.
        leg: LegId,
        /// The answer to our offer; empty where the callee sent none.
        sdp: Vec<u8>,
        /// What ends the call from another process.
        dialog: Box<DialogState>,
    },
    /// The call was never answered.
    Failed {
        /// The leg.
        leg: LegId,
        /// Why.
        failure: Failure,
    },
    /// An answered call is over.
    Ended {
        /// The leg.
        leg: LegId,
        /// Who ended it.
        by: EndedBy,
        /// The cause in their BYE.
        reason: Option<Q850>,
    },
    /// The end of [`Command::Options`].
    OptionsAnswered {
        /// As in the command.
        id: u64,
        /// The final status; `None` when nothing came in 32 s.
        status: Option<u16>,
    },
    /// The end of [`Command::Orphan`].
    OrphanEnded {
        /// The leg.
        leg: LegId,
        /// What was found.
        how: OrphanEnd,
    },
    /// Something worth a metric.
    Counted(Counter),
}

/// What is known of a call that was never answered: the evidence its result is judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The final status; `None` when none came.
    pub status: Option<u16>,
    /// Its phrase as the carrier wrote it.
    pub phrase: String,
    /// The Q.850 cause of its Reason header.
    pub q850: Option<u16>,
    /// Its Reason header as it was sent, all values.
    pub reason_protocol: Option<String>,
    /// Its Retry-After.
    pub retry_after_s: Option<u32>,
    /// Whether we had asked to cancel before.
    pub cancelled_by_us: bool,
    /// How the end came.
    pub kind: FailureKind,
}

/// How a call that was never answered ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// By a final response.
    Final,
    /// Nothing came within 64·T1: to the INVITE (timer B), or after our CANCEL.
    TransactionTimeout,
    /// The datagram could not be sent.
    TransportError,
    /// Provisional responses came and no final one within the limit; we cancelled it ourselves.
    NoProgress,
    /// Nothing was sent: a limit of ours was reached.
    NotSent,
}

/// Who ended an answered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    /// They sent BYE.
    Them,
    /// Our BYE was answered, or theirs crossed it.
    Us,
    /// A 2xx crossed our CANCEL: acknowledged and ended with BYE. There was no `Answered`.
    CancelCrossedAnswer,
    /// Our BYE got no answer in 64·T1.
    Lost,
}

/// What became of a leg of a process that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrphanEnd {
    /// The far side knows no such call (481): never sent, or over before.
    NeverKnown,
    /// It was ringing and ended with this final status.
    CancelledBeforeAnswer {
        /// Usually 487.
        status: u16,
    },
    /// It was answered, and our BYE ended it.
    EndedByUs,
    /// They had ended it, or did so now. Whether it was answered is known only where its dialog was.
    EndedByThem,
    /// No answer in 64·T1.
    Silent,
}

/// Facts for metrics; none of them ends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// A datagram that is not SIP.
    Malformed,
    /// A request from outside the trusted networks that belongs to no dialog: dropped.
    RefusedSource,
    /// A request inside a dialog we do not have: answered 481.
    Stray481,
    /// A request that would open a dialog with us: refused.
    RefusedRequest,
    /// We sent a request again.
    RetransmissionSent,
    /// A request or response came again.
    RetransmissionReceived,
    /// A second 2xx of a forked INVITE: acknowledged and ended.
    Forked2xx,
    /// A 2xx crossed our CANCEL.
    CancelCrossed2xx,
    /// A BYE of theirs crossed ours.
    CrossedBye,
    /// A final response to an INVITE of ours that is no longer known.
    StrayFinal,
    /// A response to nothing of ours: dropped.
    StrayResponse,
    /// A limit was reached and something was dropped.
    LimitReached,
    /// A command for a leg that exists already: ignored.
    DuplicateLeg,
}

impl Counter {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::RefusedSource => "refused_source",
            Self::Stray481 => "stray_481",
            Self::RefusedRequest => "refused_request",
            Self::RetransmissionSent => "retransmission_sent",
            Self::RetransmissionReceived => "retransmission_received",
            Self::Forked2xx => "forked_2xx",
            Self::CancelCrossed2xx => "cancel_crossed_2xx",
            Self::CrossedBye => "crossed_bye",
            Self::StrayFinal => "stray_final",
            Self::StrayResponse => "stray_response",
            Self::LimitReached => "limit_reached",
            Self::DuplicateLeg => "duplicate_leg",
        }
    }
}

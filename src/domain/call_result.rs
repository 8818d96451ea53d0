//! The call result: how an attempt ended technically. One table, one mapping from what was seen.
//!
//! Evidence order: what was heard (SIT, fax, machine) → what the profile says of a status → Q.850 cause of a Reason header (RFC 3326,
//! RFC 6432) → SIP status → ringing seen or not → timers. The winner names the result; everything
//! that was seen is kept beside it.

use serde::{Deserialize, Serialize};

/// On whose side an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The person called or their telephone.
    Callee,
    /// The network between.
    Carrier,
    /// This program, its settings or its agents.
    Us,
    /// Nobody: it succeeded.
    Nobody,
}

/// A row of the taxonomy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultRow {
    /// The result.
    pub result: CallResult,
    /// Stable code in the API, the store and CRM events.
    pub code: &'static str,
    /// Cisco's CallResult code that comes nearest (Outbound Option Guide, Dialer Detail Table).
    pub cisco: u8,
    /// Who failed.
    pub side: Side,
    /// Whether it is an attempt to reach the person, and counts toward the campaign's maximum.
    pub is_attempt: bool,
    /// Whether a person answered: the denominator of every abandon rate.
    pub is_live_answer: bool,
    /// Only the listening stage can find it out.
    pub needs_ears: bool,
}

macro_rules! results {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $cisco:literal, $side:ident, $flags:literal;)+) => {
        /// How an attempt ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum CallResult { $($(#[$doc])* $name,)+ }

        /// Every result, in the order of Cisco's codes.
        pub const RESULTS: &[ResultRow] = &[$(ResultRow {
            result: CallResult::$name,
            code: $code,
            cisco: $cisco,
            side: Side::$side,
            is_attempt: has($flags, b'a'),
            is_live_answer: has($flags, b'l'),
            needs_ears: has($flags, b'e'),
        },)+];

        impl CallResult {
            /// The row of the taxonomy.
            pub const fn row(self) -> &'static ResultRow {
                match self { $(Self::$name => {
                    const ROW: &ResultRow = &ResultRow {
                        result: CallResult::$name,
                        code: $code,
                        cisco: $cisco,
                        side: Side::$side,
                        is_attempt: has($flags, b'a'),
                        is_live_answer: has($flags, b'l'),
                        needs_ears: has($flags, b'e'),
                    };
                    ROW
                },)+ }
            }
        }
    };
}

const fn has(flags: &str, flag: u8) -> bool {
    let bytes = flags.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        #[expect(clippy::indexing_slicing, reason = "a const loop below the length")]
        if bytes[at] == flag {
            return true;
        }
        at += 1;
    }
    false
}

// Flags: a = an attempt to reach the person, l = a person answered, e = needs the listening stage.
results! {
    /// The intent expired or was withdrawn before anything was sent.
    NotDialled = "not_dialled", 0, Us, "";
    /// We could not send, or the answer could not be used.
    DialError = "dial_error", 2, Us, "";
    /// The network says the number is not in service.
    NotInService = "not_in_service", 3, Carrier, "a";
    /// The call was set up and no ringing ever came.
    NoRingback = "no_ringback", 4, Carrier, "a";
    /// Intercept tones: the number was changed or disconnected.
    OperatorIntercept = "operator_intercept", 5, Carrier, "ae";
    /// The trunk gave no sign of life (Cisco: no dial tone).
    TrunkDown = "trunk_down", 6, Carrier, "";
    /// No circuit, congestion, overload.
    Congestion = "congestion", 6, Carrier, "";
    /// The carrier failed in a way that another attempt may not meet.
    CarrierFailure = "carrier_failure", 6, Carrier, "";
    /// The number does not exist or is not complete.
    InvalidNumber = "invalid_number", 7, Callee, "a";
    /// The number was changed (SIP 410, Q.850 cause 22).
    NumberChanged = "number_changed", 7, Callee, "a";
    /// It rang until the ring timeout.
    NoAnswer = "no_answer", 8, Callee, "a";
    /// Switched off or absent (Q.850 causes 18 and 20, SIP 480 before ringing).
    Unreachable = "unreachable", 8, Callee, "a";
    /// The callee's side declined the call.
    Declined = "declined", 8, Callee, "a";
    /// Busy.
    Busy = "busy", 9, Callee, "a";
    /// Answered and connected to an agent.
    Connected = "connected", 10, Nobody, "al";
    /// A fax answered.
    Fax = "fax", 11, Callee, "ae";
    /// An answering machine answered.
    AnsweringMachine = "answering_machine", 12, Callee, "ae";
    /// Cancelled by us: the campaign was stopped, or agents went away.
    CancelledByDialer = "cancelled_by_dialer", 13, Us, "";
    /// The person asked to be called back.
    CallbackRequested = "callback_requested", 14, Nobody, "al";
    /// A machine asked for a call back.
    MachineCallbackRequested = "machine_callback_requested", 15, Callee, "ae";
    /// A person answered, no agent came in time, and the call ended without the message.
    Abandoned = "abandoned", 16, Us, "al";
    /// The agent to whom a callback was promised could not be had.
    AgentNotReserved = "agent_not_reserved", 17, Us, "";
    /// The agent skipped the record shown in preview.
    AgentSkipped = "agent_skipped", 18, Us, "";
    /// The agent skipped the record shown in preview, and closed it.
    AgentClosed = "agent_closed", 19, Us, "";
    /// A person answered, no agent came in time, and the campaign's message was played.
    AbandonedToMessage = "abandoned_to_message", 20, Us, "al";
    /// A person answered and hung up before an agent was due.
    CustomerHungUp = "customer_hung_up", 21, Callee, "al";
    /// A voice mailbox in the network.
    NetworkMachine = "network_machine", 22, Carrier, "ae";
    /// The agent says: a wrong number.
    WrongNumber = "wrong_number", 23, Callee, "al";
    /// The agent says: not the person we look for.
    WrongPerson = "wrong_person", 24, Callee, "al";
    /// Given back untouched.
    Returned = "returned", 25, Us, "";
    /// On a do-not-call list when it was about to be dialled.
    DoNotCall = "do_not_call", 26, Us, "";
    /// The network ended the call while it rang.
    DroppedWhileRinging = "dropped_while_ringing", 27, Carrier, "a";
    /// Answered, and nothing was heard.
    DeadAir = "dead_air", 28, Carrier, "ae";
    /// The carrier does not support what we sent (codec, extension).
    NotSupported = "not_supported", 29, Us, "";
    /// The carrier refused our credentials or our right to call.
    NotAuthorised = "not_authorised", 30, Us, "";
    /// The carrier calls our message invalid.
    InvalidMessage = "invalid_message", 31, Us, "";
    /// The program ended before the result was known.
    Lost = "lost", 32, Us, "a";
    /// The agent did not accept the preview in time.
    PreviewTimedOut = "preview_timed_out", 33, Us, "";
    /// Blocked by analytics in the network (SIP 603+, ATIS-1000099): a matter of the caller ID.
    BlockedByNetwork = "blocked_by_network", 8, Carrier, "a";
    /// The callee does not want calls from us (SIP 607, RFC 8197).
    Unwanted = "unwanted", 8, Callee, "a";
    /// An analytics engine rejected the call (SIP 608, RFC 8688).
    RejectedByNetwork = "rejected_by_network", 8, Carrier, "a";
}

impl CallResult {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The result with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        RESULTS.iter().find(|row| row.code == code).map(|row| row.result)
    }
}

/// What the listening stage said of an answered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nobody listened: every answer counts as a person.
    NotListened,
    /// A person.
    Person,
    /// An answering machine at the callee's.
    Machine,
    /// A voice mailbox of the network.
    NetworkMachine,
    /// A fax or modem.
    Fax,
    /// Special information tones of the intercept kind.
    Intercept,
    /// Special information tones: vacant code.
    VacantCode,
    /// Special information tones: no circuit, or congestion tone.
    NoCircuit,
    /// Nothing was heard.
    Silence,
}

impl Verdict {
    /// The result of a call that this verdict ends; `None` where the call goes on to an agent.
    pub const fn ends_call(self) -> Option<CallResult> {
        match self {
            Self::NotListened | Self::Person => None,
            Self::Machine => Some(CallResult::AnsweringMachine),
            Self::NetworkMachine => Some(CallResult::NetworkMachine),
            Self::Fax => Some(CallResult::Fax),
            Self::Intercept => Some(CallResult::OperatorIntercept),
            Self::VacantCode => Some(CallResult::NotInService),
            Self::NoCircuit => Some(CallResult::Congestion),
            Self::Silence => Some(CallResult::DeadAir),
        }
    }
}

/// Why we ended a call that was not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// It rang as long as the campaign lets.
    RingTimeout,
    /// The campaign was stopped, or the program shuts down.
    Stopped,
    /// The agent who waited for it is gone.
    AgentGone,
}

/// What the network said at the end of a call that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkEnd {
    /// Final SIP status; `None` where none came.
    pub status: Option<u16>,
    /// Its phrase.
    pub phrase: String,
    /// Q.850 cause of a Reason header.
    pub q850: Option<u16>,
    /// The text of a Reason header.
    pub reason_text: Option<String>,
    /// Retry-After in seconds.
    pub retry_after_s: Option<u32>,
    /// The message never left this machine.
    pub transport_failed: bool,
    /// What this carrier means by its status, where that departs from the RFC.
    pub means: Option<StatusMeaning>,
}

/// What a carrier's status means where it departs from the RFC, as its profile says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusMeaning {
    /// The callee is busy.
    Busy,
    /// It rang and nobody answered.
    NoAnswer,
    /// The number does not exist.
    NoSuchNumber,
    /// The callee declined.
    Declined,
    /// The carrier has no free line.
    Congestion,
    /// The carrier blocks the call.
    Blocked,
}

impl StatusMeaning {
    const fn result(self) -> CallResult {
        match self {
            Self::Busy => CallResult::Busy,
            Self::NoAnswer => CallResult::NoAnswer,
            Self::NoSuchNumber => CallResult::InvalidNumber,
            Self::Declined => CallResult::Declined,
            Self::Congestion => CallResult::Congestion,
            Self::Blocked => CallResult::BlockedByNetwork,
        }
    }
}

impl NetworkEnd {
    /// 603+ of ATIS-1000099: the phrase, or the machine-readable text of its Reason header.
    fn is_network_blocked(&self) -> bool {
        self.status == Some(603)
            && (self.phrase.eq_ignore_ascii_case("network blocked")
                || self.reason_text.as_ref().is_some_and(|text| text.starts_with("v=analytics")))
    }
}

/// The result of a call that was never answered.
pub fn of_unanswered(
    end: &NetworkEnd,
    ringing_seen: bool,
    cancelled: Option<CancelReason>,
) -> CallResult {
    use CallResult as R;
    if end.transport_failed {
        return R::DialError;
    }
    match cancelled {
        // 487 is the echo of our CANCEL; a silent carrier after CANCEL says nothing more.
        Some(CancelReason::RingTimeout) if matches!(end.status, None | Some(487 | 408)) => {
            return if ringing_seen { R::NoAnswer } else { R::NoRingback };
        }
        Some(CancelReason::Stopped | CancelReason::AgentGone) => return R::CancelledByDialer,
        Some(CancelReason::RingTimeout) | None => {}
    }
    if let Some(meaning) = end.means {
        return meaning.result();
    }
    if end.is_network_blocked() {
        return R::BlockedByNetwork;
    }
    if let Some(result) = end.status.and_then(of_unambiguous_status) {
        return result;
    }
    if let Some(result) = end.q850.and_then(|cause| of_cause(cause, ringing_seen)) {
        return result;
    }
    end.status.map_or(R::TrunkDown, |status| of_status(status, ringing_seen))
}

/// Statuses that say more than any ISUP cause can.
const fn of_unambiguous_status(status: u16) -> Option<CallResult> {
    match status {
        607 => Some(CallResult::Unwanted),
        608 => Some(CallResult::RejectedByNetwork),
        _ => None,
    }
}

/// Q.850 causes (ITU-T Q.850 table 1). `None` where the cause says nothing by itself.
const fn of_cause(cause: u16, ringing_seen: bool) -> Option<CallResult> {
    use CallResult as R;
    Some(match cause {
        1 | 28 | 5 => R::InvalidNumber,
        22 => R::NumberChanged,
        2 | 3 | 27 | 4 | 87 => R::NotInService,
        17 => R::Busy,
        19 => R::NoAnswer,
        18 | 20 => R::Unreachable,
        21 | 24 | 54 | 55 => R::Declined,
        34 | 42 | 44 | 46 | 47 => R::Congestion,
        6 | 25 | 38 | 39 | 40 | 41 | 49 | 102 => R::CarrierFailure,
        29 | 50 | 52 | 53 | 57 => R::NotAuthorised,
        58 | 63 | 65 | 66 | 69 | 70 | 79 | 88 => R::NotSupported,
        81..=86 | 95..=101 | 111 => R::InvalidMessage,
        16 if ringing_seen => R::DroppedWhileRinging,
        _ => return None,
    })
}

/// SIP statuses (RFC 3261 §21 and the RFCs that add to it).
const fn of_status(status: u16, ringing_seen: bool) -> CallResult {
    use CallResult as R;
    match status {
        401 | 402 | 403 | 407 | 428..=438 | 470 | 494 => R::NotAuthorised,
        404 | 484 | 485 | 604 => R::InvalidNumber,
        410 => R::NumberChanged,
        // Providers use 480 for capacity, for absence and for the end of unanswered ringing.
        480 if ringing_seen => R::NoAnswer,
        480 => R::Unreachable,
        408 if ringing_seen => R::NoAnswer,
        486 | 600 => R::Busy,
        487 if ringing_seen => R::DroppedWhileRinging,
        603 => R::Declined,
        406 | 415 | 417 | 420 | 421 | 488 | 501 | 505 | 580 | 606 => R::NotSupported,
        400 | 405 | 411 | 413 | 414 | 416 | 422 | 423 | 481 | 493 | 513 => R::InvalidMessage,
        503 | 491 | 500 | 502 | 504 if ringing_seen => R::DroppedWhileRinging,
        503 => R::Congestion,
        _ => R::CarrierFailure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallResult as R;

    fn end(status: u16, q850: Option<u16>) -> NetworkEnd {
        NetworkEnd { status: Some(status), q850, ..NetworkEnd::default() }
    }

    #[test]
    fn every_cisco_code_but_the_unused_one_has_a_result_and_every_code_is_distinct() {
        for cisco in (0..=33).filter(|code| *code != 1) {
            assert!(RESULTS.iter().any(|row| row.cisco == cisco), "no result for Cisco {cisco}");
        }
        for row in RESULTS {
            assert_eq!(CallResult::from_code(row.code), Some(row.result));
            assert_eq!(row.result.row(), row);
            let json = rmp_serde::to_vec(&row.result).unwrap();
            assert_eq!(rmp_serde::from_slice::<CallResult>(&json).unwrap(), row.result);
        }
        let live: Vec<u8> =
            RESULTS.iter().filter(|row| row.is_live_answer).map(|row| row.cisco).collect();
        assert_eq!(live, [10, 14, 16, 20, 21, 23, 24], "Cisco's live voice set");
    }

    #[test]
    fn the_status_table_without_a_cause() {
        // status, result without ringing, result after ringing
        let table = [
            (400, R::InvalidMessage, R::InvalidMessage),
            (401, R::NotAuthorised, R::NotAuthorised),
            (402, R::NotAuthorised, R::NotAuthorised),
            (403, R::NotAuthorised, R::NotAuthorised),
            (404, R::InvalidNumber, R::InvalidNumber),
            (405, R::InvalidMessage, R::InvalidMessage),
            (406, R::NotSupported, R::NotSupported),
            (407, R::NotAuthorised, R::NotAuthorised),
            (408, R::CarrierFailure, R::NoAnswer),
            (410, R::NumberChanged, R::NumberChanged),
            (415, R::NotSupported, R::NotSupported),
            (480, R::Unreachable, R::NoAnswer),
            (481, R::InvalidMessage, R::InvalidMessage),
            (482, R::CarrierFailure, R::CarrierFailure),
            (483, R::CarrierFailure, R::CarrierFailure),
            (484, R::InvalidNumber, R::InvalidNumber),
            (485, R::InvalidNumber, R::InvalidNumber),
            (486, R::Busy, R::Busy),
            (487, R::CarrierFailure, R::DroppedWhileRinging),
            (488, R::NotSupported, R::NotSupported),
            (500, R::CarrierFailure, R::DroppedWhileRinging),
            (501, R::NotSupported, R::NotSupported),
            (502, R::CarrierFailure, R::DroppedWhileRinging),
            (503, R::Congestion, R::DroppedWhileRinging),
            (504, R::CarrierFailure, R::DroppedWhileRinging),
            (505, R::NotSupported, R::NotSupported),
            (580, R::NotSupported, R::NotSupported),
            (600, R::Busy, R::Busy),
            (603, R::Declined, R::Declined),
            (604, R::InvalidNumber, R::InvalidNumber),
            (606, R::NotSupported, R::NotSupported),
            (607, R::Unwanted, R::Unwanted),
            (608, R::RejectedByNetwork, R::RejectedByNetwork),
        ];
        for (status, before, after) in table {
            assert_eq!(of_unanswered(&end(status, None), false, None), before, "{status}");
            assert_eq!(of_unanswered(&end(status, None), true, None), after, "{status} rung");
        }
    }

    #[test]
    fn a_cause_outranks_an_ambiguous_status() {
        let table = [
            (480, 20, R::Unreachable),
            (480, 19, R::NoAnswer),
            (503, 34, R::Congestion),
            (500, 1, R::InvalidNumber),
            (404, 3, R::NotInService),
            (603, 21, R::Declined),
            (403, 57, R::NotAuthorised),
            (486, 17, R::Busy),
            (480, 18, R::Unreachable),
            (410, 22, R::NumberChanged),
        ];
        for (status, cause, result) in table {
            assert_eq!(of_unanswered(&end(status, Some(cause)), false, None), result);
        }
    }

    #[test]
    fn a_network_block_is_not_a_decline() {
        let mut blocked = end(603, Some(21));
        blocked.phrase = "Network Blocked".into();
        assert_eq!(of_unanswered(&blocked, false, None), R::BlockedByNetwork);
        let mut blocked = end(603, Some(21));
        blocked.reason_text = Some("v=analytics1;url=https://example.org".into());
        assert_eq!(of_unanswered(&blocked, false, None), R::BlockedByNetwork);
        assert_eq!(of_unanswered(&end(607, Some(21)), false, None), R::Unwanted);
        assert_eq!(of_unanswered(&end(608, Some(21)), false, None), R::RejectedByNetwork);
    }

    #[test]
    fn our_cancel_explains_a_487_but_not_a_busy_that_crossed_it() {
        let timeout = Some(CancelReason::RingTimeout);
        assert_eq!(of_unanswered(&end(487, None), true, timeout), R::NoAnswer);
        assert_eq!(of_unanswered(&end(487, None), false, timeout), R::NoRingback);
        assert_eq!(of_unanswered(&end(486, None), true, timeout), R::Busy);
        let stopped = Some(CancelReason::Stopped);
        assert_eq!(of_unanswered(&end(487, None), true, stopped), R::CancelledByDialer);
    }

    #[test]
    fn a_profile_that_knows_its_carrier_is_believed() {
        let odd = NetworkEnd { means: Some(StatusMeaning::Busy), ..end(603, Some(21)) };
        assert_eq!(of_unanswered(&odd, false, None), R::Busy);
    }

    #[test]
    fn silence_is_the_trunk_and_a_send_error_is_ours() {
        assert_eq!(of_unanswered(&NetworkEnd::default(), false, None), R::TrunkDown);
        let ours = NetworkEnd { transport_failed: true, ..NetworkEnd::default() };
        assert_eq!(of_unanswered(&ours, false, None), R::DialError);
    }

    #[test]
    fn what_is_heard_decides_the_results_that_need_ears() {
        let heard = [
            (Verdict::Machine, R::AnsweringMachine),
            (Verdict::NetworkMachine, R::NetworkMachine),
            (Verdict::Fax, R::Fax),
            (Verdict::Intercept, R::OperatorIntercept),
            (Verdict::VacantCode, R::NotInService),
            (Verdict::NoCircuit, R::Congestion),
            (Verdict::Silence, R::DeadAir),
        ];
        for (verdict, result) in heard {
            assert_eq!(verdict.ends_call(), Some(result));
        }
        assert_eq!(Verdict::NotListened.ends_call(), None);
        assert_eq!(Verdict::Person.ends_call(), None);
    }
}

//! What the lab's carrier saw on the wire, call by call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::media::HeardFrames;
use crate::domain::phone::E164;

/// The carrier's side of the books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierLedger {
    /// Distinct calls: INVITEs with a Call-ID of their own.
    pub attempts: u64,
    /// INVITEs that came again, on the wire's account.
    pub repeated_invites: u64,
    /// Further INVITEs with a known Call-ID that were no repetitions. A right dialer makes none.
    pub doubled_invites: u64,
    /// Calls by the final status sent.
    pub sip_finals: BTreeMap<u16, u64>,
    /// Calls that the caller left without a final answer (the carrier never replied).
    pub without_final: u64,
    /// Calls answered with 200.
    pub answers: u64,
    /// Calls cancelled before a final answer.
    pub cancelled: u64,
    /// Answered calls by who ended them.
    pub hung_up: BTreeMap<Ender, u64>,
    /// Final answers that nobody acknowledged for 32 s.
    pub acks_missing: u64,
    /// Answered calls by what was heard.
    pub heard: BTreeMap<Heard, u64>,
    /// Calls by what the callee was.
    pub callees: BTreeMap<String, u64>,
    /// Calls not over yet.
    pub live: u64,
    /// Datagrams that were no SIP message.
    pub malformed: u64,
    /// Requests inside dialogs that do not exist.
    pub strays: u64,
    /// One row a call, by Call-ID.
    pub rows: BTreeMap<String, CarrierRow>,
}

/// Who ended an answered call, told from the packets alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ender {
    /// The caller sent BYE.
    Caller,
    /// The callee sent BYE.
    Callee,
    /// Both did; the BYEs crossed.
    Both,
    /// The carrier, because nobody acknowledged its 200.
    Carrier,
}

/// What an answered callee heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// An agent's voice.
    Agent,
    /// The abandon message, from the first note to the last.
    Message,
    /// The beginning of the abandon message.
    PartOfMessage,
    /// Nothing.
    Silence,
}

impl Heard {
    /// Names what was heard. Three frames are 60 ms: less could be a stray packet.
    pub(super) const fn of(frames: &HeardFrames) -> Self {
        if frames.agent >= 3 {
            Self::Agent
        } else if frames.chimes > 0 {
            Self::Message
        } else if frames.chime > 0 {
            Self::PartOfMessage
        } else {
            Self::Silence
        }
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierRow {
    /// The number dialled, if it was one.
    pub number: Option<E164>,
    /// Which call to this number it was, from 1.
    pub nth: u32,
    /// Who was shown as caller.
    pub caller: String,
    /// What the callee really was.
    pub callee: String,
    /// INVITEs that came again.
    pub repeated_invites: u32,
    /// Further INVITEs that were no repetitions.
    pub doubled_invites: u32,
    /// When the INVITE came, UTC milliseconds, as all times here.
    pub invited_ms: i64,
    /// When it began to ring.
    pub ringing_ms: Option<i64>,
    /// When it was answered.
    pub answered_ms: Option<i64>,
    /// When the callee first heard an agent.
    pub connected_ms: Option<i64>,
    /// When it was over: final refusal, or first BYE.
    pub ended_ms: Option<i64>,
    /// The final status sent.
    pub final_status: Option<u16>,
    /// Whether the final answer was acknowledged.
    pub acknowledged: bool,
    /// It was given up for want of an ACK.
    pub ack_missing: bool,
    /// A CANCEL came before the final answer.
    pub cancelled: bool,
    /// A CANCEL came when the final answer was on its way already.
    pub cancelled_too_late: bool,
    /// Who ended the answered call.
    pub ended_by: Option<Ender>,
    /// The status that answered the callee's BYE.
    pub bye_answered: Option<u16>,
    /// Reason of the caller's CANCEL or BYE.
    pub reason: Option<String>,
    /// Final answers and BYEs sent again.
    pub repeated_by_us: u32,
    /// What an answered callee heard.
    pub heard: Option<Heard>,
    /// The same in frames.
    pub frames: HeardFrames,
}

impl CarrierLedger {
    /// Counts rows.
    pub(super) fn of(rows: BTreeMap<String, CarrierRow>) -> Self {
        let mut ledger = Self::default();
        for row in rows.values() {
            ledger.attempts += 1;
            ledger.repeated_invites += u64::from(row.repeated_invites);
            ledger.doubled_invites += u64::from(row.doubled_invites);
            ledger.answers += u64::from(row.answered_ms.is_some());
            ledger.cancelled += u64::from(row.cancelled);
            ledger.acks_missing += u64::from(row.ack_missing);
            ledger.live += u64::from(row.ended_ms.is_none());
            match row.final_status {
                Some(status) => *ledger.sip_finals.entry(status).or_default() += 1,
                None => ledger.without_final += u64::from(row.ended_ms.is_some()),
            }
            if let Some(by) = row.ended_by {
                *ledger.hung_up.entry(by).or_default() += 1;
            }
            if let Some(heard) = row.heard {
                *ledger.heard.entry(heard).or_default() += 1;
            }
            *ledger.callees.entry(row.callee.clone()).or_default() += 1;
        }
        ledger.rows = rows;
        ledger
    }
}

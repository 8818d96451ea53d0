//! The three ledgers side by side: dialer, carrier, CRM. Each was counted by its own side; whatever
//! they disagree on is said in words.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::adapters::store::attempts::AttemptRow;
use crate::lab::carrier_ledger::{CarrierLedger, CarrierRow, Ender, Heard};
use crate::lab::crm_ledger::CrmLedger;

/// Mismatches told one by one; a broken run would otherwise print a thousand.
const TOLD_MAX: usize = 50;
/// A talk shorter than this may end before the callee's ear has its third frame of a voice: on a
/// machine that is busy with other work the lab's one media thread may be away for a second.
const HEARABLE_MS: i64 = 2_000;

/// What one side counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Attempts: intents with a result, INVITEs seen, attempts reported.
    pub attempts: u64,
    /// Final statuses of INVITEs; calls without any stand under 0.
    pub sip_finals: BTreeMap<u16, u64>,
    /// Answered calls.
    pub answers: u64,
    /// Calls with an agent: put through, heard, popped up.
    pub connects: u64,
    /// Who hung up answered calls.
    pub hung_up: BTreeMap<&'static str, u64>,
    /// CRM events: written, delivered, received.
    pub events: u64,
}

/// The ledgers, and what they disagree on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The dialer's attempts table.
    pub dialer: Side,
    /// The carrier's packets.
    pub carrier: Side,
    /// The events that the CRM received.
    pub crm: Side,
    /// In words; empty where all agree.
    pub mismatches: Vec<String>,
}

/// The dialer's books.
pub struct DialerBooks<'a> {
    /// Every attempt.
    pub attempts: &'a [AttemptRow],
    /// CRM events written.
    pub posted: u64,
    /// CRM events acknowledged.
    pub delivered: u64,
}

struct Faults(Vec<String>, usize);

impl Faults {
    fn add(&mut self, fault: String) {
        self.1 += 1;
        if self.0.len() < TOLD_MAX {
            self.0.push(fault);
        }
    }

    fn differ(&mut self, what: &str, attempt: &str, ours: &str, theirs: &str) {
        if ours != theirs {
            self.add(format!("attempt {attempt}: {what} is {ours} here and {theirs} there"));
        }
    }
}

/// Compares attempt by attempt.
pub fn compare(dialer: &DialerBooks<'_>, carrier: &CarrierLedger, crm: &CrmLedger) -> Comparison {
    let mut faults = Faults(Vec::new(), 0);
    let mut known = BTreeSet::new();
    for row in dialer.attempts {
        let attempt = row.attempt.to_string();
        let call_id = format!("{attempt}@campanile");
        if row.dialled_ms.is_some() {
            match carrier.rows.get(&call_id) {
                Some(call) => compare_call(row, call, &attempt, &mut faults),
                None => {
                    faults.add(format!("attempt {attempt}: dialled, and the carrier has no call"));
                }
            }
            known.insert(call_id);
        } else if carrier.rows.contains_key(&call_id) {
            faults.add(format!("attempt {attempt}: never dialled, and the carrier has a call"));
            known.insert(call_id);
        }
        compare_crm(row, crm, &attempt, &mut faults);
    }
    for call_id in carrier.rows.keys().filter(|id| !known.contains(*id)) {
        faults.add(format!("call {call_id}: at the carrier, and no attempt of ours"));
    }
    let attempts: BTreeSet<String> =
        dialer.attempts.iter().map(|row| row.attempt.to_string()).collect();
    for attempt in crm.rows.keys().filter(|id| !attempts.contains(*id)) {
        faults.add(format!("attempt {attempt}: at the CRM, and not among ours"));
    }
    compare_events(dialer, crm, &mut faults);
    let Faults(mut mismatches, found) = faults;
    if found > mismatches.len() {
        mismatches.push(format!("and {} more", found - TOLD_MAX));
    }
    Comparison {
        dialer: dialer_side(dialer),
        carrier: carrier_side(carrier),
        crm: crm_side(crm),
        mismatches,
    }
}

fn compare_call(row: &AttemptRow, call: &CarrierRow, attempt: &str, faults: &mut Faults) {
    if call.doubled_invites > 0 {
        faults.add(format!("attempt {attempt}: {} INVITEs too many", call.doubled_invites));
    }
    let status = |status: Option<u16>| status.map_or("none".to_owned(), |s| s.to_string());
    faults.differ("final status", attempt, &status(final_status(row)), &status(call.final_status));
    let yes = |is: bool| if is { "yes" } else { "no" };
    let (ours, theirs) = (row.answered_ms.is_some(), call.answered_ms.is_some());
    faults.differ("answered", attempt, yes(ours), yes(theirs));
    if !ours || !theirs {
        return;
    }
    let ender = call.ended_by;
    let same = match row.ended_by.as_deref() {
        // Where both BYEs were on the wire, either side may call itself first.
        _ if ender == Some(Ender::Both) => true,
        Some("customer") => ender == Some(Ender::Callee),
        Some("agent" | "dialer") => ender == Some(Ender::Caller),
        Some("both") => ender == Some(Ender::Both),
        Some(_) | None => matches!(ender, None | Some(Ender::Carrier)),
    };
    if !same {
        let ours = row.ended_by.as_deref().unwrap_or("nobody");
        faults.add(format!("attempt {attempt}: ended by {ours} here and {ender:?} there"));
    }
    let talk_ms = match (row.connected_ms, row.ended_ms) {
        (Some(connected), Some(ended)) => ended - connected,
        (None, _) | (_, None) => 0,
    };
    match (row.connected_ms.is_some(), call.heard) {
        (true, Some(Heard::Agent)) => {}
        (true, heard) if talk_ms >= HEARABLE_MS => {
            let frames = &call.frames;
            faults.add(format!(
                "attempt {attempt}: talked {talk_ms} ms and heard {heard:?} ({frames:?})"
            ));
        }
        (false, Some(Heard::Agent)) => {
            faults.add(format!("attempt {attempt}: heard an agent and was not put through"));
        }
        (true | false, _) => {}
    }
    let played = row.result == "abandoned_to_message" && row.ended_by.as_deref() == Some("dialer");
    if played && call.heard != Some(Heard::Message) {
        faults.add(format!("attempt {attempt}: the message was played, heard {:?}", call.heard));
    }
}

fn compare_crm(row: &AttemptRow, crm: &CrmLedger, attempt: &str, faults: &mut Faults) {
    let Some(told) = crm.rows.get(attempt) else {
        faults.add(format!("attempt {attempt}: the CRM was not told"));
        return;
    };
    let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    faults.differ("result", attempt, &row.result, &word(&told.result));
    faults.differ("disposition", attempt, &word(&row.disposition), &word(&told.disposition));
    if row.connected_ms.is_some() != told.screenpop {
        faults.add(format!("attempt {attempt}: screen pops differ"));
    }
}

fn compare_events(dialer: &DialerBooks<'_>, crm: &CrmLedger, faults: &mut Faults) {
    let DialerBooks { posted, delivered, .. } = *dialer;
    if posted != delivered || delivered != crm.events {
        faults.add(format!(
            "CRM events: {posted} written, {delivered} delivered, {} received",
            crm.events
        ));
    }
    let wrong = [
        ("attempts ended twice", crm.ended_twice),
        ("events out of a person's order", crm.out_of_order),
        ("posts with a wrong signature", crm.refused_signatures),
        ("posts that were no event", crm.malformed),
    ];
    for (what, count) in wrong.into_iter().filter(|(_, count)| *count > 0) {
        faults.add(format!("the CRM counts {count} {what}"));
    }
}

/// The final status of an INVITE: an answered one's is 200.
fn final_status(row: &AttemptRow) -> Option<u16> {
    if row.answered_ms.is_some() {
        return Some(200);
    }
    row.status.and_then(|status| u16::try_from(status).ok())
}

fn dialer_side(books: &DialerBooks<'_>) -> Side {
    let mut side = Side { events: books.delivered, ..Side::default() };
    for row in books.attempts.iter().filter(|row| row.dialled_ms.is_some()) {
        side.attempts += 1;
        *side.sip_finals.entry(final_status(row).unwrap_or(0)).or_default() += 1;
        side.answers += u64::from(row.answered_ms.is_some());
        side.connects += u64::from(row.connected_ms.is_some());
        if row.answered_ms.is_some() {
            let who = match row.ended_by.as_deref() {
                Some("customer") => "callee",
                Some("agent" | "dialer") => "caller",
                Some("both") => "both",
                Some(_) | None => "nobody",
            };
            *side.hung_up.entry(who).or_default() += 1;
        }
    }
    side
}

fn carrier_side(ledger: &CarrierLedger) -> Side {
    let mut side = Side { attempts: ledger.attempts, answers: ledger.answers, ..Side::default() };
    for row in ledger.rows.values() {
        *side.sip_finals.entry(row.final_status.unwrap_or(0)).or_default() += 1;
        side.connects += u64::from(row.heard == Some(Heard::Agent));
        if row.answered_ms.is_some() {
            let who = match row.ended_by {
                Some(Ender::Callee) => "callee",
                Some(Ender::Caller) => "caller",
                Some(Ender::Both) => "both",
                Some(Ender::Carrier) | None => "nobody",
            };
            *side.hung_up.entry(who).or_default() += 1;
        }
    }
    side
}

fn crm_side(ledger: &CrmLedger) -> Side {
    Side {
        attempts: ledger.attempts,
        connects: ledger.connects,
        events: ledger.events,
        ..Side::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AttemptId;
    use crate::domain::phone::E164;
    use crate::lab::crm_ledger::CrmRow;

    fn attempt(n: u128) -> AttemptRow {
        AttemptRow {
            attempt: AttemptId::from_uuid(uuid::Uuid::from_u128(n)),
            contact: 1,
            number: E164::parse("+12125550100").unwrap(),
            result: "connected".into(),
            cisco: 10,
            status: None,
            q850: None,
            intent_ms: 0,
            dialled_ms: Some(1),
            ringing_at_ms: Some(2),
            answered_ms: Some(3),
            connected_ms: Some(4),
            ended_ms: Some(9_000),
            rang_ms: 1,
            ended_by: Some("customer".into()),
            agent: Some(1),
            abandoned: false,
            orphan: None,
            evidence: String::new(),
            disposition: Some("success".into()),
            disposition_next: None,
        }
    }

    fn worlds(n: u128) -> (CarrierLedger, CrmLedger) {
        let id = uuid::Uuid::from_u128(n).to_string();
        let call: CarrierRow = serde_json::from_value(serde_json::json!({
            "number": "+12125550100", "nth": 1, "caller": "x", "callee": "human",
            "repeated_invites": 0, "doubled_invites": 0, "invited_ms": 1, "ringing_ms": 2,
            "answered_ms": 3, "connected_ms": 4, "ended_ms": 9000, "final_status": 200,
            "acknowledged": true, "ack_missing": false, "cancelled": false,
            "cancelled_too_late": false,
            "ended_by": "callee", "bye_answered": 200, "reason": null, "repeated_by_us": 0,
            "heard": "agent", "frames": crate::lab::media::HeardFrames::default(),
        }))
        .unwrap();
        let mut carrier = CarrierLedger { attempts: 1, answers: 1, ..CarrierLedger::default() };
        carrier.rows.insert(format!("{id}@campanile"), call);
        let told = CrmRow {
            person: "p".into(),
            result: Some("connected".into()),
            screenpop: true,
            disposition: Some("success".into()),
        };
        let mut crm = CrmLedger { attempts: 1, connects: 1, events: 3, ..CrmLedger::default() };
        crm.rows.insert(id, told);
        (carrier, crm)
    }

    fn mismatches(
        row: AttemptRow,
        change: impl FnOnce(&mut CarrierLedger, &mut CrmLedger),
    ) -> Vec<String> {
        let (mut carrier, mut crm) = worlds(1);
        change(&mut carrier, &mut crm);
        let books = DialerBooks { attempts: &[row], posted: 3, delivered: 3 };
        compare(&books, &carrier, &crm).mismatches
    }

    #[test]
    fn books_that_say_the_same_agree() {
        assert_eq!(mismatches(attempt(1), |_, _| {}), Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_disagreement_is_found() {
        let call = |carrier: &mut CarrierLedger| carrier.rows.values_mut().next().unwrap().clone();
        let none = |_: &mut CarrierLedger, _: &mut CrmLedger| {};
        assert!(!mismatches(attempt(2), none).is_empty(), "unknown attempt");
        assert!(!mismatches(AttemptRow { dialled_ms: None, ..attempt(1) }, none).is_empty());
        assert!(!mismatches(AttemptRow { answered_ms: None, ..attempt(1) }, none).is_empty());
        assert!(!mismatches(AttemptRow { connected_ms: None, ..attempt(1) }, none).is_empty());
        let by_agent = AttemptRow { ended_by: Some("agent".into()), ..attempt(1) };
        assert!(!mismatches(by_agent, none).is_empty());
        let other = AttemptRow { result: "busy".into(), ..attempt(1) };
        assert!(!mismatches(other, none).is_empty());
        let silent = |carrier: &mut CarrierLedger, _: &mut CrmLedger| {
            let row = CarrierRow { heard: Some(Heard::Silence), ..call(carrier) };
            *carrier.rows.values_mut().next().unwrap() = row;
        };
        assert!(!mismatches(attempt(1), silent).is_empty(), "nobody was heard");
        assert!(!mismatches(attempt(1), |_, crm| crm.events = 2).is_empty(), "an event is missing");
        assert!(!mismatches(attempt(1), |_, crm| crm.rows.clear()).is_empty());
        assert!(!mismatches(attempt(1), |_, crm| crm.out_of_order = 1).is_empty());
    }
}

//! What a CRM event says: CloudEvents 1.0 in structured JSON, composed when the fact is written.
//!
//! The store puts the text into the outbox in the transaction that makes the fact durable; what is
//! posted later, and posted again, is that text byte for byte.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::attempt::{AttemptEnd, DispositionRecord};
use crate::domain::disposition::NextAction;
use crate::domain::ids::{AgentId, AttemptId, CrmEventId};
use crate::domain::time::Utc;

/// An agent was put through to a person.
pub const SCREEN_POP: &str = "campanile.screenpop";
/// An attempt is over: exactly one for each.
pub const CALL_ENDED: &str = "campanile.call.ended";
/// An agent said what a call meant.
pub const DISPOSITION: &str = "campanile.record.disposition";
/// Every type there is, for settings that choose among them.
pub const TYPES: [&str; 3] = [SCREEN_POP, CALL_ENDED, DISPOSITION];

/// What every event says of the attempt it is about.
#[derive(Clone)]
pub struct Subject<'a> {
    /// Which installation speaks: the CloudEvents source is `campanile/<instance>`.
    pub instance: &'a str,
    /// The attempt.
    pub attempt: AttemptId,
    /// The campaign's id.
    pub campaign: i64,
    /// The row of the list.
    pub contact: i64,
    /// The CRM's own id of the person.
    pub external_ref: &'a str,
    /// The number, E.164.
    pub number: &'a str,
}

/// An event that is ready to be posted.
#[derive(Clone, PartialEq, Eq)]
pub struct CrmEvent {
    /// The same at every delivery.
    pub id: CrmEventId,
    /// One of [`TYPES`].
    pub kind: &'static str,
    /// The CloudEvents JSON.
    pub body: String,
}

/// An agent was put through.
pub fn screen_pop(subject: &Subject<'_>, id: CrmEventId, agent: AgentId, at: Utc) -> CrmEvent {
    event(subject, id, SCREEN_POP, at, json!({ "agent": agent, "connected_ms": at }))
}

/// An attempt is over.
pub fn call_ended(subject: &Subject<'_>, end: &AttemptEnd) -> CrmEvent {
    let at = end.times.ended.unwrap_or(end.times.intent);
    let row = end.result.row();
    let more = json!({
        "result": row.code,
        "cisco": row.cisco,
        "failed_side": row.side,
        "agent": end.agent,
        "abandoned": end.count.is_some_and(|count| count.abandoned),
        "connected": end.count.is_some_and(|count| count.connected),
        "evidence": end.evidence,
        "times": end.times,
        "answer_to_agent_us": end.answer_to_agent_us,
        "next": end.next,
    });
    event(subject, end.event, CALL_ENDED, at, more)
}

/// An agent said what a call meant.
pub fn disposition(subject: &Subject<'_>, record: &DispositionRecord) -> CrmEvent {
    let callback_ms = match record.next {
        NextAction::Callback { at } => Some(at),
        NextAction::Close | NextAction::Retry | NextAction::DoNotCall => None,
    };
    let more = json!({
        "agent": record.agent,
        "code": record.code,
        "next": word(&record.next),
        "callback_ms": callback_ms,
        "chosen_ms": record.at,
    });
    event(subject, record.event, DISPOSITION, record.at, more)
}

/// The word of a business outcome, without its time.
fn word(next: &NextAction) -> &'static str {
    match next {
        NextAction::Close => "close",
        NextAction::Retry => "retry",
        NextAction::Callback { .. } => "callback",
        NextAction::DoNotCall => "do_not_call",
    }
}

/// CloudEvents 1.0 §3.1: id, source, specversion and type are required; subject and time say more.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: CrmEventId,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    data: &'a Value,
}

fn event(
    subject: &Subject<'_>,
    id: CrmEventId,
    kind: &'static str,
    at: Utc,
    more: Value,
) -> CrmEvent {
    let mut data = json!({
        "attempt": subject.attempt,
        "campaign": subject.campaign,
        "contact": subject.contact,
        "person": { "external_ref": subject.external_ref },
        "number": subject.number,
    });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    let envelope = CloudEvent {
        specversion: "1.0",
        id,
        source: format!("campanile/{}", subject.instance),
        kind,
        subject: format!("attempt/{}", subject.attempt),
        // RFC 3339 with milliseconds.
        time: at.to_chrono().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        datacontenttype: "application/json",
        data: &data,
    };
    // Strings and numbers only: there is nothing in it that serde_json could refuse.
    let body = serde_json::to_string(&envelope).unwrap_or_default();
    CrmEvent { id, kind, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AttemptId, CampaignId, ContactId, NumberId, PersonId};

    fn subject() -> Subject<'static> {
        Subject {
            instance: "one",
            attempt: AttemptId::from_uuid(uuid::Uuid::from_u128(7)),
            campaign: 3,
            contact: 5,
            external_ref: "crm-9",
            number: "+12125550100",
        }
    }

    fn parsed(event: &CrmEvent) -> Value {
        serde_json::from_str(&event.body).unwrap()
    }

    #[test]
    fn the_envelope_has_what_cloud_events_asks_for() {
        let id = CrmEventId::from_uuid(uuid::Uuid::from_u128(8));
        let at = Utc::from_ms(1_760_000_000_123);
        let event = screen_pop(&subject(), id, AgentId::new(4), at);
        let body = parsed(&event);
        assert_eq!(body["specversion"], "1.0");
        assert_eq!(body["id"], id.to_string());
        assert_eq!(body["source"], "campanile/one");
        assert_eq!(body["type"], "campanile.screenpop");
        assert_eq!(body["subject"], format!("attempt/{}", subject().attempt));
        assert_eq!(body["time"], "2025-10-09T08:53:20.123Z");
        assert_eq!(body["data"]["person"]["external_ref"], "crm-9");
        assert_eq!(body["data"]["agent"], 4);
        assert_eq!(body["data"]["number"], "+12125550100");
    }

    #[test]
    fn a_promised_call_carries_its_time_apart_from_its_word() {
        let record = DispositionRecord {
            key: crate::domain::attempt::AttemptKey {
                attempt: subject().attempt,
                campaign: CampaignId::new(3),
                contact: ContactId::new(5),
                person: PersonId::new(1),
                number: NumberId::new(1),
            },
            agent: AgentId::new(4),
            code: "later".into(),
            next: NextAction::Callback { at: Utc::from_ms(99) },
            contact: crate::domain::retry::ContactNext::Waits { due_at: Utc::from_ms(99) },
            at: Utc::from_ms(50),
            event: CrmEventId::from_uuid(uuid::Uuid::from_u128(8)),
        };
        let body = parsed(&disposition(&subject(), &record));
        assert_eq!(body["data"]["next"], "callback");
        assert_eq!(body["data"]["callback_ms"], 99);
        assert_eq!(body["data"]["code"], "later");
    }
}

//! The intent: one transaction that decides whether a record may be dialled, and makes it durable.
//!
//! Everything is judged before anything is written, so a refused intent leaves no trace but the one
//! its refusal means (a waiting time, a closed contact), and does not fail its neighbours.

use crate::domain::attempt::{Intent, IntentRefusal};
use crate::domain::ids::AgentId;
use crate::domain::phone::{E164, may_dial};
use crate::domain::time::Utc;
use crate::engine::input::INTENT_AGE_MAX;

use super::contacts::{self, ContactCard};
use super::db::Tx;
use super::dnc;
use super::error::StoreError;
use super::leases::Epoch;
use super::ready_queue::{self, Place};
use super::tally::Sums;

/// Whom an intent dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialTarget {
    /// The number.
    pub number: E164,
    /// Who it is, for the agent's page.
    pub card: ContactCard,
}

/// What became of an intent.
pub(crate) enum Decision {
    Stands(Box<DialTarget>),
    Refused(IntentRefusal),
}

/// Writes the intent or says why not. `prefixes` are those of the trunk's version that it names;
/// the caller has seen that this run holds the campaign.
pub(crate) async fn intend(
    tx: &mut Tx,
    run: &Epoch,
    intent: &Intent,
    sip_local: &str,
    prefixes: &[String],
    sums: &mut Sums,
) -> Result<Decision, StoreError> {
    let key = intent.key;
    let (campaign, contact) = (key.campaign, key.contact);
    let Some(standing) = ready_queue::standing(tx, campaign, contact).await? else {
        return Ok(Decision::Refused(IntentRefusal::NotReady));
    };
    let card = contacts::card_of(tx, key).await?;
    let (Some(card), "ready") = (card, standing.state.as_str()) else {
        return Ok(Decision::Refused(IntentRefusal::NotReady));
    };
    let (why, to) = if may_dial(card.number, prefixes).is_err() {
        (IntentRefusal::NumberNotAllowed, Place::Closed("number_not_allowed"))
    } else if dnc::is_listed(tx, card.number, campaign, intent.at).await? {
        (IntentRefusal::DoNotCall, Place::Closed("do_not_call"))
    } else if let Some(due) = gap_ends(tx, intent).await? {
        (IntentRefusal::NumberGap, Place::Waits { due, promised: false })
    } else {
        ready_queue::place(tx, campaign, contact, &standing, Place::Live, sums).await?;
        insert_live_call(tx, run, intent, sip_local).await?;
        return Ok(Decision::Stands(Box::new(DialTarget { number: card.number, card })));
    };
    ready_queue::place(tx, campaign, contact, &standing, to, sums).await?;
    Ok(Decision::Refused(why))
}

/// Passes the gate of the number's last call, or says when it opens. One statement is the gate:
/// PostgreSQL locks the row and judges its newest version, so that of several campaigns racing for a
/// number one passes. A last call later than `at` (a clock that stepped back) keeps it shut.
async fn gap_ends(tx: &mut Tx, intent: &Intent) -> Result<Option<Utc>, StoreError> {
    const GATE: &str = "INSERT INTO number_guard (number, last_ms) VALUES ($1, $2) \
                        ON CONFLICT (number) DO UPDATE SET last_ms = excluded.last_ms \
                        WHERE number_guard.last_ms <= excluded.last_ms - $3";
    const LAST: &str = "SELECT last_ms FROM number_guard WHERE number = $1";
    let number = intent.key.number.get();
    let gap_ms = gap_ms(intent.number_gap_ms);
    let passed = on_tx!(&mut *tx, conn => {
        sqlx::query(GATE).bind(number).bind(intent.at.as_ms()).bind(gap_ms)
            .execute(conn).await?.rows_affected()
    });
    if passed == 1 {
        return Ok(None);
    }
    let (last,): (i64,) = on_tx!(tx, conn => {
        sqlx::query_as(LAST).bind(number).fetch_one(conn).await?
    });
    Ok(Some(Utc::from_ms(last.saturating_add(gap_ms))))
}

/// The gap holds between INVITEs, of which the first may have followed its intent late and the second
/// may follow at once.
fn gap_ms(gap_ms: i64) -> i64 {
    let late = i64::try_from(INTENT_AGE_MAX.as_millis()).unwrap_or(i64::MAX);
    if gap_ms == 0 { 0 } else { gap_ms.saturating_add(late) }
}

async fn insert_live_call(
    tx: &mut Tx,
    run: &Epoch,
    intent: &Intent,
    sip_local: &str,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO live_call (campaign, attempt, contact, person, number, node, \
        epoch, campaign_version, trunk, trunk_version, result_map_version, caller_id, agent, \
        number_gap_ms, intent_ms, sip_local) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    let key = intent.key;
    on_tx!(tx, conn => {
        sqlx::query(SQL)
            .bind(key.campaign.get()).bind(key.attempt.as_uuid()).bind(key.contact.get())
            .bind(key.person.get()).bind(key.number.get()).bind(&run.node).bind(run.epoch)
            .bind(i64::from(intent.campaign_version)).bind(intent.trunk.get())
            .bind(i64::from(intent.trunk_version)).bind(i64::from(intent.result_map_version))
            .bind(i64::from(intent.caller_id)).bind(intent.agent.map(AgentId::get))
            .bind(intent.number_gap_ms).bind(intent.at.as_ms()).bind(sip_local)
            .execute(conn).await?;
    });
    Ok(())
}

/// Undoes an intent that was refused because its commit gave no answer, should it have reached the
/// disk after all. Nothing was dialled: the record goes back to where it was.
pub(crate) async fn withdraw(
    tx: &mut Tx,
    intent: &Intent,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM live_call WHERE campaign = $1 AND attempt = $2";
    let key = intent.key;
    let undone = on_tx!(&mut *tx, conn => {
        sqlx::query(SQL).bind(key.campaign.get()).bind(key.attempt.as_uuid()).execute(conn).await?
            .rows_affected()
    });
    if undone == 0 {
        return Ok(());
    }
    let standing = ready_queue::standing(tx, key.campaign, key.contact).await?;
    if let Some(standing) = standing.filter(|standing| standing.state == "live") {
        let to = Place::Ready;
        ready_queue::place(tx, key.campaign, key.contact, &standing, to, sums).await?;
    }
    Ok(())
}

/// The prefixes that a version of a trunk may dial; `None` where there is no such version.
pub(crate) async fn prefixes(
    tx: &mut Tx,
    intent: &Intent,
) -> Result<Option<Vec<String>>, StoreError> {
    const SQL: &str = "SELECT settings FROM trunk_version WHERE trunk = $1 AND version = $2";
    let row: Option<(String,)> = on_tx!(tx, conn => {
        sqlx::query_as(SQL).bind(intent.trunk.get()).bind(i64::from(intent.trunk_version))
            .fetch_optional(conn).await?
    });
    let Some((text,)) = row else { return Ok(None) };
    let settings: crate::domain::trunk::TrunkSettings =
        super::words::from_json("trunk settings", &text)?;
    Ok(Some(settings.allowed_prefixes))
}

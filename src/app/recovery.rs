//! After a crash: every call that the last run left behind becomes `lost`, and its legs are ended.
//!
//! The result is written before anything is dialled, and counts as answered and abandoned until the
//! far side shows otherwise (`Write::OrphanEnded`). Agents' old legs are ended too; their phones are
//! called anew when the agents log in.

use std::collections::BTreeMap;

use super::book::Book;
use super::dial_plan::Trunk;
use super::sip_profiles;
use crate::adapters::net::sip_udp::SipHandle;
use crate::adapters::store::Db;
use crate::adapters::store::leases::Epoch;
use crate::adapters::store::recovery::{LostCall, lost_end};
use crate::domain::ids::{CampaignId, CrmEventId, LegId, uuid_v7};
use crate::domain::time::Utc;
use crate::protocols::sip;

/// A leg of the last run that is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphaned {
    /// A customer's.
    Call {
        /// Whose attempt it was.
        campaign: CampaignId,
        /// The window in which it counts.
        window_start: Utc,
        /// It is known to have been answered.
        answered: bool,
    },
    /// An agent's.
    AgentLeg,
}

/// Writes the lost results and has a CANCEL or BYE sent for every leg that may still be up; these
/// are returned, to be followed to their end.
pub async fn end_the_last_run(
    db: &Db,
    book: &Book,
    sip: &SipHandle,
    epoch: &Epoch,
    instance: &str,
    now: Utc,
) -> anyhow::Result<BTreeMap<LegId, Orphaned>> {
    let mut orphans = BTreeMap::new();
    let lost = db.lost_calls(epoch).await?;
    if !lost.is_empty() {
        tracing::warn!(calls = lost.len(), "the last run ended in mid-call: results are `lost`");
    }
    let mut ends = Vec::new();
    for call in &lost {
        let key = call.intent.key;
        let Some(row) = book.campaign(key.campaign) else { continue };
        let event = CrmEventId::from_uuid(uuid_v7(now, rand::random()));
        let end = lost_end(call, &row.settings, now, event);
        let window_start = end.count.map_or(now, |count| count.window_start);
        let answered = call.answered.is_some();
        let orphan = Orphaned::Call { campaign: key.campaign, window_start, answered };
        orphans.insert(key.attempt.leg(), orphan);
        ends.push(end);
    }
    db.write_lost(&ends, instance).await?;
    for call in &lost {
        match orphan_of(db, book, call).await {
            Ok(orphan) => sip.commands.send(sip::Command::Orphan(Box::new(orphan))).await?,
            Err(why) => {
                tracing::error!(attempt.id = %call.intent.key.attempt, why, "cannot end a lost call");
            }
        }
    }
    for leg in db.agent_legs(epoch).await? {
        match serde_json::from_str::<sip::Orphan>(&leg.dialog) {
            Ok(orphan) => {
                orphans.insert(leg.leg, Orphaned::AgentLeg);
                sip.commands.send(sip::Command::Orphan(Box::new(orphan))).await?;
            }
            Err(error) => tracing::error!(%error, "cannot end an agent's old leg"),
        }
    }
    Ok(orphans)
}

/// What is needed to end a lost call: its INVITE is made again under the settings of its time.
async fn orphan_of(db: &Db, book: &Book, call: &LostCall) -> Result<sip::Orphan, String> {
    let intent = &call.intent;
    let settings = db
        .trunk_at_version(intent.trunk, intent.trunk_version)
        .await
        .map_err(|error| error.to_string())?
        .ok_or("its trunk's settings are gone")?;
    let profile = sip_profiles::load(book.data_dir(), &settings.profile)
        .map_err(|error| error.to_string())?;
    let trunk = Trunk { settings, profile };
    let local = call.sip_local.parse().map_err(|_| "its local address cannot be read")?;
    let leg = intent.key.attempt.leg();
    let invite = trunk.invite(leg, call.number, intent.caller_id, local, Vec::new());
    let mut orphan = invite.orphan(local);
    orphan.dialog = call.dialog.as_deref().and_then(|text| serde_json::from_str(text).ok());
    Ok(orphan)
}

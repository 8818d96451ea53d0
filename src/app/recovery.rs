//! After a crash: every call that the last run left behind becomes `lost`, and its legs are ended.
//!
//! The result is written before anything is dialled, and counts as answered and abandoned until the
//! far side shows otherwise (`Write::OrphanEnded`). A leg stays on the list until it is known to be
//! over, through as many restarts as it takes. Agents' old legs are ended too; their phones are called
//! anew when the agents log in.

use std::collections::BTreeMap;

use super::book::Book;
use super::dial_plan::Trunk;
use super::sip_profiles;
use crate::adapters::store::Db;
use crate::adapters::store::leases::Epoch;
use crate::adapters::store::recovery::{LostLeg, OrphanEnd, lost_end};
use crate::domain::ids::{CampaignId, CrmEventId, LegId, uuid_v7};
use crate::domain::time::{Duration, Utc};
use crate::protocols::sip;

/// A UAS that has answered an INVITE knows its transaction for 64·T1 more (RFC 6026 §7.1, timer L), and
/// answers a CANCEL of it with 200 so long.
const REMEMBERED: Duration = Duration::from_secs(32);

/// A leg of an earlier run that is being ended.
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
        /// We ask so early that a far side that knows no such call shows that it was never answered.
        remembered: bool,
    },
    /// An agent's.
    AgentLeg,
}

impl Orphaned {
    /// What the end of a customer's leg shows.
    pub fn shown(remembered: bool, how: sip::OrphanEnd) -> OrphanEnd {
        match how {
            sip::OrphanEnd::NeverKnown if remembered => OrphanEnd::NeverSent,
            sip::OrphanEnd::CancelledBeforeAnswer { .. } => OrphanEnd::NotAnswered,
            sip::OrphanEnd::EndedByUs => OrphanEnd::EndedByUs,
            // Somebody may have answered and hung up while no process of ours was there.
            sip::OrphanEnd::NeverKnown | sip::OrphanEnd::EndedByThem => OrphanEnd::EndedByThem,
            sip::OrphanEnd::Silent => OrphanEnd::Silent,
        }
    }
}

/// What earlier runs left behind: the legs to be followed to their end, and the commands that end them.
#[derive(Debug, Default)]
pub struct Remains {
    /// By leg.
    pub orphans: BTreeMap<LegId, Orphaned>,
    /// To be carried out before the socket is read: a far side's message must meet its orphan.
    pub commands: Vec<sip::Command>,
}

/// Writes the lost results, and finds every leg of earlier runs that may still be up.
pub async fn end_the_last_run(
    db: &Db,
    book: &Book,
    epoch: &Epoch,
    instance: &str,
    now: Utc,
) -> anyhow::Result<Remains> {
    let lost = db.lost_calls(epoch).await?;
    if !lost.is_empty() {
        tracing::warn!(calls = lost.len(), "the last run ended in mid-call: results are `lost`");
    }
    let mut ends = Vec::new();
    for call in &lost {
        let Some(row) = book.campaign(call.intent.key.campaign) else { continue };
        let event = CrmEventId::from_uuid(uuid_v7(now, rand::random()));
        ends.push(lost_end(call, &row.settings, now, event));
    }
    db.write_lost(&ends, instance).await?;
    let mut remains = Remains::default();
    // Those of this crash, and those that the last recovery did not come to the end with.
    for leg in db.lost_legs().await? {
        match orphan_of(db, book, &leg).await {
            Ok(orphan) => {
                let orphaned = Orphaned::Call {
                    campaign: leg.campaign,
                    window_start: leg.window_start,
                    answered: leg.answered,
                    remembered: now < leg.intent + REMEMBERED,
                };
                remains.add(orphan, orphaned);
            }
            Err(why) => {
                tracing::error!(attempt.id = %leg.attempt, why, "cannot end a lost call");
            }
        }
    }
    for leg in db.agent_legs(epoch).await? {
        match serde_json::from_str::<sip::Orphan>(&leg.dialog) {
            Ok(orphan) => remains.add(orphan, Orphaned::AgentLeg),
            Err(error) => tracing::error!(%error, "cannot end an agent's old leg"),
        }
    }
    Ok(remains)
}

impl Remains {
    fn add(&mut self, orphan: sip::Orphan, orphaned: Orphaned) {
        self.orphans.insert(orphan.leg, orphaned);
        self.commands.push(sip::Command::Orphan(Box::new(orphan)));
    }
}

/// What is needed to end a lost call: its INVITE is made again under the settings of its time.
async fn orphan_of(db: &Db, book: &Book, lost: &LostLeg) -> Result<sip::Orphan, String> {
    let settings = db
        .trunk_at_version(lost.trunk, lost.trunk_version)
        .await
        .map_err(|error| error.to_string())?
        .ok_or("its trunk's settings are gone")?;
    let profile = sip_profiles::load(book.data_dir(), &settings.profile)
        .map_err(|error| error.to_string())?;
    let trunk = Trunk { settings, profile };
    let local = lost.sip_local.parse().map_err(|_| "its local address cannot be read")?;
    let leg = lost.attempt.leg();
    let invite = trunk.invite(leg, lost.number, lost.caller_id, local, Vec::new());
    let mut orphan = invite.orphan(local);
    orphan.dialog = lost.dialog.as_deref().and_then(|text| serde_json::from_str(text).ok());
    Ok(orphan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_side_that_could_have_forgotten_the_call_shows_nothing() {
        let shown = |remembered| Orphaned::shown(remembered, sip::OrphanEnd::NeverKnown);
        assert_eq!(shown(true), OrphanEnd::NeverSent);
        assert!(shown(true).shows_no_answer());
        assert!(!shown(false).shows_no_answer());
    }
}

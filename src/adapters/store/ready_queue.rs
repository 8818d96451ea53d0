//! The ready queue: where each contact of a campaign stands, and the next records in dial order.
//!
//! ```text
//!            intent            result: closed
//!  ready ───────────► live ───────────────────► closed
//!    ▲  └─ defer ─┐    │ result: tried again      │ disposition: retry, callback
//!    │            ▼    ▼                          │
//!    └── due ──── waits ◄─────────────────────────┘
//! ```
//! `campaign_contact.state` names the place; `dial_ready` and `dial_wait` hold exactly the contacts
//! whose state says so. Only this file moves them.

use crate::domain::contact::ReadyRecord;
use crate::domain::ids::{CampaignId, ContactId, ListId, NumberId, PersonId};
use crate::domain::time::Utc;
use crate::engine::input::Rest;

use super::contacts::zone;
use super::db::{Db, Tx};
use super::error::StoreError;
use super::tally::Sums;
use super::words::{from_word, whole};

/// All calling windows in one bucket: the column stands in the key so that classes of windows can be
/// told apart without rewriting the table.
const BUCKET: i64 = 0;
/// A promised call goes before every record of a list.
pub const CALLBACK_PRIORITY: i32 = -1_000_000;
/// Why a contact was closed when its list was taken from the campaign; giving the list back opens it.
const LIST_REMOVED: &str = "list_removed";

/// Why a contact waits whose person may not be called at this hour; other hours end the wait.
const CLOSED_HOURS: &str = "closed_hours";

/// Another transaction was in the way: tried again at once, this often.
const CONFLICTS_MAX: u32 = 5;

/// Where a contact is to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// May be dialled.
    Ready,
    /// Becomes ready at this time; a promised call also takes the highest priority.
    Waits { due: Utc, promised: bool },
    /// Becomes ready when the calling hours open.
    PutOff { due: Utc },
    /// In the air.
    Live,
    /// Done with, for this reason.
    Closed(&'static str),
}

/// Where a contact stands.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Standing {
    pub(crate) state: String,
    pub(crate) bucket: i64,
    pub(crate) prio: i64,
    pub(crate) due_ms: Option<i64>,
    pub(crate) reason: Option<String>,
}

#[derive(sqlx::FromRow)]
struct ReadyRow {
    prio: i64,
    seq: i64,
    contact: i64,
    person: i64,
    number: i64,
    zone: String,
    number_type: String,
    prefix_class: i64,
    attempts: i64,
}

impl ReadyRow {
    fn record(self) -> Result<ReadyRecord, StoreError> {
        Ok(ReadyRecord {
            contact: ContactId::new(self.contact),
            person: PersonId::new(self.person),
            number: NumberId::new(self.number),
            zone: zone(&self.zone)?,
            number_type: from_word("number type", &self.number_type)?,
            prefix_class: whole("prefix class", self.prefix_class)?,
            priority: whole("priority", self.prio)?,
            seq: self.seq,
            attempts: whole("attempts", self.attempts)?,
        })
    }
}

/// Reads on from a cursor by the primary key: the cost is that of the rows given.
pub const READ_ON: &str = "SELECT prio, seq, contact, person, number, zone, number_type, \
    prefix_class, attempts FROM dial_ready \
    WHERE campaign = $1 AND bucket = $2 AND (prio, seq) > ($3, $4) ORDER BY prio, seq LIMIT $5";
/// The first contacts that have become due.
pub const DUE: &str = "SELECT contact FROM dial_wait WHERE campaign = $1 AND due_ms <= $2 \
                       ORDER BY due_ms, contact LIMIT $3";
/// When the next contact becomes due.
pub const NEXT_DUE: &str =
    "SELECT due_ms FROM dial_wait WHERE campaign = $1 ORDER BY due_ms, contact LIMIT 1";
/// Whether anything stands at the head of the queue.
pub const HEAD: &str = "SELECT prio, seq FROM dial_ready WHERE campaign = $1 AND bucket = $2 ORDER BY prio, seq LIMIT 1";
/// Whether a call is in the air: its end may put its contact back.
pub const LIVE: &str = "SELECT contact FROM live_call WHERE campaign = $1 LIMIT 1";
/// Takes a record out of the queue by its whole key.
pub const TAKE: &str = "DELETE FROM dial_ready \
                        WHERE campaign = $1 AND bucket = $2 AND prio = $3 AND seq = $4";

impl Db {
    /// The next records after `after` in dial order, at most `limit`, and what else there is. What
    /// has become due by `now` is moved into the queue first; records that were moved are given
    /// wherever the cursor stands, so that a retry or a promised call is not passed over. The reader
    /// drops what it holds already.
    pub async fn ready_records(
        &self,
        campaign: CampaignId,
        after: Option<(i32, i64)>,
        limit: u32,
        now: Utc,
    ) -> Result<(Vec<ReadyRecord>, Rest), StoreError> {
        let limit = i64::from(limit.max(2));
        let mut moved = self.wake(campaign, limit / 2, now).await?;
        let (prio, seq) =
            after.map_or((i64::from(i32::MIN) - 1, 0), |(prio, seq)| (i64::from(prio), seq));
        let room = limit - moved.len() as i64;
        let rows: Vec<ReadyRow> = on_db!(self, pool => {
            sqlx::query_as(READ_ON).bind(campaign.get()).bind(BUCKET).bind(prio).bind(seq)
                .bind(room).fetch_all(pool).await?
        });
        let is_full = rows.len() as i64 == room;
        moved.retain(|early| (early.prio, early.seq) <= (prio, seq));
        let records: Vec<ReadyRecord> =
            moved.into_iter().chain(rows).map(ReadyRow::record).collect::<Result<_, _>>()?;
        let rest = if is_full { Rest::More } else { self.rest(campaign, after).await? };
        Ok((records, rest))
    }

    /// What there is beyond the records given, when there were no more after them: what waits, what
    /// stands up to the cursor and was given before, and what is in the air.
    async fn rest(
        &self,
        campaign: CampaignId,
        after: Option<(i32, i64)>,
    ) -> Result<Rest, StoreError> {
        // In this order: a call that ends between the reads is seen as live, or as what it became.
        type Found = (Option<(i64,)>, Option<(i64,)>, Option<(i64, i64)>);
        let (live, due, head): Found = on_db!(self, pool => (
            sqlx::query_as(LIVE).bind(campaign.get()).fetch_optional(pool).await?,
            sqlx::query_as(NEXT_DUE).bind(campaign.get()).fetch_optional(pool).await?,
            sqlx::query_as(HEAD).bind(campaign.get()).bind(BUCKET).fetch_optional(pool).await?,
        ));
        if let Some((due,)) = due {
            return Ok(Rest::Later(Some(due)));
        }
        let cursor = after.map(|(prio, seq)| (i64::from(prio), seq));
        let is_before = head.zip(cursor).is_some_and(|(head, cursor)| head <= cursor);
        Ok(if is_before || live.is_some() { Rest::Later(None) } else { Rest::Nothing })
    }

    /// When the next waiting contact of a campaign becomes due.
    pub async fn next_due(&self, campaign: CampaignId) -> Result<Option<Utc>, StoreError> {
        let due: Option<(i64,)> = on_db!(self, pool => {
            sqlx::query_as(NEXT_DUE).bind(campaign.get()).fetch_optional(pool).await?
        });
        Ok(due.map(|(due,)| Utc::from_ms(due)))
    }

    /// Moves contacts that have become due into the queue, at most `limit`, in dial order.
    async fn wake(
        &self,
        campaign: CampaignId,
        limit: i64,
        now: Utc,
    ) -> Result<Vec<ReadyRow>, StoreError> {
        let due: Vec<(i64,)> = on_db!(self, pool => {
            sqlx::query_as(DUE).bind(campaign.get()).bind(now.as_ms()).bind(limit)
                .fetch_all(pool).await?
        });
        if due.is_empty() {
            return Ok(vec![]);
        }
        let mut tries = 0;
        loop {
            match self.wake_these(campaign, &due, now).await {
                // The writer may hold some of the same contacts, in an order of its own.
                Err(error) if error.is_conflict() && tries < CONFLICTS_MAX => tries += 1,
                other => return other,
            }
        }
    }

    async fn wake_these(
        &self,
        campaign: CampaignId,
        due: &[(i64,)],
        now: Utc,
    ) -> Result<Vec<ReadyRow>, StoreError> {
        const ROW: &str = "SELECT prio, seq, contact, person, number, zone, number_type, \
            prefix_class, attempts FROM dial_ready \
            WHERE campaign = $1 AND bucket = $2 AND prio = $3 AND seq = $4";
        let mut tx = self.begin().await?;
        let mut sums = Sums::default();
        let mut moved = Vec::with_capacity(due.len());
        for (contact,) in due {
            let contact = ContactId::new(*contact);
            let Some(standing) = standing(&mut tx, campaign, contact).await? else { continue };
            // Another transaction may have moved it between the read and this one.
            let is_due = standing.due_ms.is_some_and(|due| due <= now.as_ms());
            if standing.state != "waits" || !is_due {
                continue;
            }
            place(&mut tx, campaign, contact, &standing, Place::Ready, &mut sums).await?;
            let row: Option<ReadyRow> = on_tx!(&mut tx, conn => {
                sqlx::query_as(ROW).bind(campaign.get()).bind(standing.bucket).bind(standing.prio)
                    .bind(contact.get()).fetch_optional(conn).await?
            });
            moved.extend(row);
        }
        sums.write(&mut tx).await?;
        tx.commit().await?;
        moved.sort_by_key(|row| (row.prio, row.seq));
        Ok(moved)
    }

    /// Takes a ready record out of the queue until `due`: its person may not be called now. Whether
    /// it stood in the queue.
    pub async fn defer(
        &self,
        campaign: CampaignId,
        contact: ContactId,
        due: Utc,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let mut sums = Sums::default();
        let deferred = defer(&mut tx, campaign, contact, due, &mut sums).await?;
        sums.write(&mut tx).await?;
        tx.commit().await?;
        Ok(deferred)
    }

    /// The calling hours are others now: whom they put off is looked at again at once.
    pub async fn hours_changed(&self, campaign: CampaignId, now: Utc) -> Result<(), StoreError> {
        const CONTACTS: &str = "UPDATE campaign_contact SET due_ms = $2 \
            WHERE campaign = $1 AND state = 'waits' AND reason = $3 AND due_ms > $2";
        const WAITS: &str = "UPDATE dial_wait SET due_ms = $2 \
            WHERE campaign = $1 AND due_ms > $2 AND contact IN (SELECT contact \
            FROM campaign_contact WHERE campaign = $1 AND state = 'waits' AND reason = $3)";
        let mut tx = self.begin().await?;
        // The contacts first: their locks are what every other move takes too.
        on_tx!(&mut tx, conn => {
            sqlx::query(CONTACTS).bind(campaign.get()).bind(now.as_ms()).bind(CLOSED_HOURS)
                .execute(&mut *conn).await?;
            sqlx::query(WAITS).bind(campaign.get()).bind(now.as_ms()).bind(CLOSED_HOURS)
                .execute(conn).await?;
        });
        tx.commit().await?;
        Ok(())
    }
}

/// Takes a ready record out of the queue until `due`, within a transaction.
pub(crate) async fn defer(
    tx: &mut Tx,
    campaign: CampaignId,
    contact: ContactId,
    due: Utc,
    sums: &mut Sums,
) -> Result<bool, StoreError> {
    let Some(standing) = standing(tx, campaign, contact).await? else { return Ok(false) };
    if standing.state != "ready" {
        return Ok(false);
    }
    place(tx, campaign, contact, &standing, Place::PutOff { due }, sums).await?;
    Ok(true)
}

/// Where a contact stands; locked until the commit.
pub(crate) async fn standing(
    tx: &mut Tx,
    campaign: CampaignId,
    contact: ContactId,
) -> Result<Option<Standing>, StoreError> {
    macro_rules! standing {
        ($lock:literal) => {
            concat!(
                "SELECT state, bucket, prio, due_ms, reason FROM campaign_contact \
                 WHERE campaign = $1 AND contact = $2",
                $lock
            )
        };
    }
    // SQLite's write transaction is already alone.
    let sql = tx.dialect(standing!(""), standing!(" FOR UPDATE"));
    Ok(on_tx!(tx, conn => {
        sqlx::query_as(sql).bind(campaign.get()).bind(contact.get()).fetch_optional(conn).await?
    }))
}

/// Moves a contact from where it stands to `to`.
pub(crate) async fn place(
    tx: &mut Tx,
    campaign: CampaignId,
    contact: ContactId,
    from: &Standing,
    to: Place,
    sums: &mut Sums,
) -> Result<(), StoreError> {
    const UNWAIT: &str =
        "DELETE FROM dial_wait WHERE campaign = $1 AND due_ms = $2 AND contact = $3";
    const SET: &str = "UPDATE campaign_contact SET state = $3, prio = $4, due_ms = $5, reason = $6 \
                       WHERE campaign = $1 AND contact = $2";
    const WAIT: &str = "INSERT INTO dial_wait (campaign, due_ms, contact) VALUES ($1, $2, $3)";
    match from.state.as_str() {
        "ready" => on_tx!(&mut *tx, conn => {
            sqlx::query(TAKE).bind(campaign.get()).bind(from.bucket).bind(from.prio)
                .bind(contact.get()).execute(conn).await?;
        }),
        "waits" => on_tx!(&mut *tx, conn => {
            sqlx::query(UNWAIT).bind(campaign.get()).bind(from.due_ms).bind(contact.get())
                .execute(conn).await?;
        }),
        _ => {}
    }
    // A contact whose list was taken away while it was in the air is not tried again.
    let is_removed = from.reason.as_deref() == Some(LIST_REMOVED);
    let to = match to {
        Place::Waits { .. } | Place::PutOff { .. } | Place::Ready if is_removed => {
            Place::Closed(LIST_REMOVED)
        }
        to => to,
    };
    let (state, prio, due, reason) = match to {
        Place::Ready => ("ready", from.prio, None, None),
        Place::Waits { due, promised: true } => {
            ("waits", i64::from(CALLBACK_PRIORITY), Some(due.as_ms()), None)
        }
        Place::Waits { due, promised: false } => ("waits", from.prio, Some(due.as_ms()), None),
        Place::PutOff { due } => ("waits", from.prio, Some(due.as_ms()), Some(CLOSED_HOURS)),
        Place::Live => ("live", from.prio, None, None),
        Place::Closed(reason) => ("closed", from.prio, None, Some(reason)),
    };
    on_tx!(&mut *tx, conn => {
        sqlx::query(SET).bind(campaign.get()).bind(contact.get()).bind(state).bind(prio).bind(due)
            .bind(reason).execute(conn).await?;
    });
    if let Some(due) = due {
        on_tx!(&mut *tx, conn => {
            sqlx::query(WAIT).bind(campaign.get()).bind(due).bind(contact.get()).execute(conn)
                .await?;
        });
    }
    if state == "ready" {
        enqueue(tx, campaign, contact).await?;
    }
    sums.add(campaign, format!("contacts.{}", from.state), -1);
    sums.add(campaign, format!("contacts.{state}"), 1);
    Ok(())
}

/// The queue's row of ready contacts; `contact.id` is their place within a priority.
macro_rules! enqueue {
    ($which:literal) => {
        concat!(
            "INSERT INTO dial_ready (campaign, bucket, prio, seq, contact, person, number, zone, \
             number_type, prefix_class, attempts) \
             SELECT cc.campaign, cc.bucket, cc.prio, c.id, c.id, c.person, c.number, c.zone, \
             n.number_type, n.prefix_class, cc.attempts \
             FROM contact c CROSS JOIN campaign_contact cc CROSS JOIN number n \
             WHERE cc.contact = c.id AND n.id = c.number AND cc.state = 'ready' \
             AND cc.campaign = $1 AND ",
            $which,
            " ON CONFLICT (campaign, bucket, prio, seq) DO NOTHING"
        )
    };
}

async fn enqueue(tx: &mut Tx, campaign: CampaignId, contact: ContactId) -> Result<(), StoreError> {
    const SQL: &str = enqueue!("c.id = $2");
    on_tx!(tx, conn => {
        sqlx::query(SQL).bind(campaign.get()).bind(contact.get()).execute(conn).await?;
    });
    Ok(())
}

/// Takes a list's contacts with `range.0 < id <= range.1` into a campaign.
pub(crate) async fn fill_range(
    tx: &mut Tx,
    campaign: CampaignId,
    list: ListId,
    range: (i64, i64),
    sums: &mut Sums,
) -> Result<(), StoreError> {
    const REOPEN: &str = "UPDATE campaign_contact SET state = 'ready', reason = NULL \
        WHERE campaign = $1 AND state = 'closed' AND reason = 'list_removed' AND contact IN \
        (SELECT id FROM contact WHERE list = $2 AND id > $3 AND id <= $4)";
    // In the air while its list was taken away and given back: as if nothing had been.
    const KEEP: &str = "UPDATE campaign_contact SET reason = NULL \
        WHERE campaign = $1 AND state = 'live' AND reason = 'list_removed' AND contact IN \
        (SELECT id FROM contact WHERE list = $2 AND id > $3 AND id <= $4)";
    const NEW: &str = "INSERT INTO campaign_contact \
        (campaign, contact, state, bucket, prio, attempts) \
        SELECT $1, id, 'ready', $5, priority, 0 FROM contact \
        WHERE list = $2 AND id > $3 AND id <= $4 ORDER BY id \
        ON CONFLICT (campaign, contact) DO NOTHING";
    const QUEUE: &str = enqueue!("c.list = $2 AND c.id > $3 AND c.id <= $4");
    let (from, to) = range;
    let (reopened, new) = on_tx!(&mut *tx, conn => {
        let reopened = sqlx::query(REOPEN).bind(campaign.get()).bind(list.get()).bind(from).bind(to)
            .execute(&mut *conn).await?.rows_affected();
        sqlx::query(KEEP).bind(campaign.get()).bind(list.get()).bind(from).bind(to)
            .execute(&mut *conn).await?;
        let new = sqlx::query(NEW).bind(campaign.get()).bind(list.get()).bind(from).bind(to)
            .bind(BUCKET).execute(&mut *conn).await?.rows_affected();
        sqlx::query(QUEUE).bind(campaign.get()).bind(list.get()).bind(from).bind(to)
            .execute(&mut *conn).await?;
        (reopened as i64, new as i64)
    });
    sums.add(campaign, "contacts.closed", -reopened);
    sums.add(campaign, "contacts.ready", reopened + new);
    Ok(())
}

/// Takes a list's contacts with `range.0 < id <= range.1` out of a campaign's queue.
pub(crate) async fn empty_range(
    tx: &mut Tx,
    campaign: CampaignId,
    list: ListId,
    range: (i64, i64),
    sums: &mut Sums,
) -> Result<(), StoreError> {
    const CONTACTS: &str = "SELECT cc.contact FROM contact c CROSS JOIN campaign_contact cc \
        WHERE cc.campaign = $1 AND cc.contact = c.id AND cc.state <> 'closed' \
        AND c.list = $2 AND c.id > $3 AND c.id <= $4 ORDER BY cc.contact";
    const MARK: &str =
        "UPDATE campaign_contact SET reason = 'list_removed' WHERE campaign = $1 AND contact = $2";
    let contacts: Vec<(i64,)> = on_tx!(&mut *tx, conn => {
        sqlx::query_as(CONTACTS).bind(campaign.get()).bind(list.get()).bind(range.0).bind(range.1)
            .fetch_all(conn).await?
    });
    for (contact,) in contacts {
        let contact = ContactId::new(contact);
        let Some(standing) = standing(tx, campaign, contact).await? else { continue };
        match standing.state.as_str() {
            "ready" | "waits" => {
                let to = Place::Closed(LIST_REMOVED);
                place(tx, campaign, contact, &standing, to, sums).await?;
            }
            // What is in the air ends as it ends; the mark keeps it from being tried again.
            "live" => on_tx!(&mut *tx, conn => {
                sqlx::query(MARK).bind(campaign.get()).bind(contact.get()).execute(conn).await?;
            }),
            _ => {}
        }
    }
    Ok(())
}

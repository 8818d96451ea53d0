//! Do-not-call lists: asked inside each intent, so that a revocation counts at once.

use crate::domain::ids::CampaignId;
use crate::domain::phone::E164;
use crate::domain::time::Utc;

use super::audit;
use super::contacts::number;
use super::db::{Db, Tx};
use super::error::{StoreError, corrupt};
use super::words::clean;

/// Whose calls a row forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DncScope {
    /// Everybody's.
    Own,
    /// One campaign's.
    Campaign(CampaignId),
}

/// A number that must not be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DncRow {
    /// The number.
    pub number: E164,
    /// Whose calls are forbidden.
    pub scope: DncScope,
    /// Where it came from: `api`, `agent`, a file's name.
    pub source: String,
    /// Why, in words.
    pub reason: String,
    /// Who added it.
    pub made_by: String,
    /// Since when.
    pub from: Utc,
}

/// What is to be forbidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDnc<'a> {
    /// The number.
    pub number: E164,
    /// Whose calls are forbidden.
    pub scope: DncScope,
    /// Where it came from.
    pub source: &'a str,
    /// Why, in words.
    pub reason: &'a str,
    /// Who adds it.
    pub by: &'a str,
    /// From when on.
    pub at: Utc,
}

impl DncScope {
    fn word(self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Campaign(campaign) => format!("campaign:{campaign}"),
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        if word == "own" {
            return Ok(Self::Own);
        }
        word.strip_prefix("campaign:")
            .and_then(|id| id.parse().ok())
            .map(|id| Self::Campaign(CampaignId::new(id)))
            .ok_or_else(|| corrupt("do-not-call scope", word))
    }
}

impl Db {
    /// Forbids calls to a number; one that is forbidden already keeps its first date.
    pub async fn dnc_add(&self, new: &NewDnc<'_>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        add(&mut tx, new).await?;
        audit::write(&mut tx, new.at, new.by, "dnc.added", &detail(new.scope)).await?;
        tx.commit().await
    }

    /// Allows calls again from `at` on; the row stays as history. Whether there was one.
    pub async fn dnc_remove(
        &self,
        number: E164,
        scope: DncScope,
        by: &str,
        at: Utc,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE dnc SET until_ms = $3 WHERE digits = $1 AND scope = $2 \
                           AND (until_ms IS NULL OR until_ms > $3)";
        let mut tx = self.begin().await?;
        let removed = on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(number.get() as i64).bind(scope.word()).bind(at.as_ms())
                .execute(conn).await?.rows_affected()
        });
        if removed > 0 {
            audit::write(&mut tx, at, by, "dnc.removed", &detail(scope)).await?;
        }
        tx.commit().await?;
        Ok(removed > 0)
    }

    /// Forbidden numbers after `after`, by number.
    pub async fn dnc_page(
        &self,
        after: Option<E164>,
        limit: u32,
        at: Utc,
    ) -> Result<Vec<DncRow>, StoreError> {
        type Row = (i64, String, String, String, String, i64);
        const SQL: &str = "SELECT digits, scope, source, reason, made_by, from_ms FROM dnc \
                           WHERE digits > $1 AND (until_ms IS NULL OR until_ms > $2) \
                           ORDER BY digits, scope LIMIT $3";
        let after = after.map_or(0, |number| number.get() as i64);
        let rows: Vec<Row> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(after).bind(at.as_ms()).bind(i64::from(limit))
                .fetch_all(pool).await?
        });
        rows.into_iter()
            .map(|(digits, scope, source, reason, made_by, from_ms)| {
                let (number, scope) = (number(digits)?, DncScope::from_word(&scope)?);
                Ok(DncRow { number, scope, source, reason, made_by, from: Utc::from_ms(from_ms) })
            })
            .collect()
    }
}

/// The audit row names no number: it is personal data, and the log is kept long.
fn detail(scope: DncScope) -> String {
    format!("{{\"scope\":\"{}\"}}", scope.word())
}

/// Forbids calls within a transaction.
pub(crate) async fn add(tx: &mut Tx, new: &NewDnc<'_>) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO dnc (digits, scope, source, reason, made_by, from_ms) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (digits, scope) DO UPDATE SET \
        source = excluded.source, reason = excluded.reason, made_by = excluded.made_by, \
        from_ms = excluded.from_ms, until_ms = NULL \
        WHERE dnc.until_ms IS NOT NULL AND dnc.until_ms <= excluded.from_ms";
    on_tx!(tx, conn => {
        sqlx::query(SQL).bind(new.number.get() as i64).bind(new.scope.word()).bind(new.source)
            .bind(clean(new.reason)).bind(new.by).bind(new.at.as_ms()).execute(conn).await?;
    });
    Ok(())
}

/// Whether calls of a campaign to a number are forbidden at `at`. By the primary key; a row that
/// begins later than `at` counts too, for a clock that stepped back must not open what was shut.
pub const IS_LISTED: &str = "SELECT digits FROM dnc WHERE digits = $1 AND scope IN ('own', $2) \
                             AND (until_ms IS NULL OR until_ms > $3) LIMIT 1";

pub(crate) async fn is_listed(
    tx: &mut Tx,
    number: E164,
    campaign: CampaignId,
    at: Utc,
) -> Result<bool, StoreError> {
    let row: Option<(i64,)> = on_tx!(tx, conn => {
        sqlx::query_as(IS_LISTED).bind(number.get() as i64)
            .bind(DncScope::Campaign(campaign).word()).bind(at.as_ms()).fetch_optional(conn).await?
    });
    Ok(row.is_some())
}

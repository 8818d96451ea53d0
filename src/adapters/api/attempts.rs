//! The attempts of a campaign one by one, and the dialer's own ledger of them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::adapters::store::attempts::{AttemptRow as StoredRow, Ledger};
use crate::domain::ids::{AttemptId, CampaignId};

use super::auth::Machine;
use super::campaigns::expect;
use super::error::{Problem, ProblemBody};
use super::extract::{Json, Path, Query};
use super::routes::Routes;
use super::state::ApiState;

const LIMIT_MAX: u32 = 1_000;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/campaigns/{id}/attempts", attempts)
        .get("/api/v1/campaigns/{id}/ledger", ledger)
}

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AttemptsQuery {
    /// Go on after this attempt: the `next` of the page before.
    #[param(value_type = Option<String>, format = "uuid")]
    pub after: Option<Uuid>,
    /// So many rows at most, 1 to 1000; default 100.
    pub limit: Option<u32>,
}

/// A page of attempts.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptsPage {
    /// In the order of their ids, which is that of time.
    pub items: Vec<AttemptRow>,
    /// What to give as `after` for the next page; absent at the end.
    pub next: Option<String>,
}

/// One attempt that is over.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptRow {
    /// Its uuid.
    pub attempt: String,
    /// The row of the list.
    pub contact: i64,
    /// The masked number.
    pub number: String,
    /// Code of the call result.
    pub result: String,
    /// Cisco's CallResult code that comes nearest.
    pub cisco: i64,
    /// Final SIP status of the INVITE, if one came.
    pub status: Option<i64>,
    /// Q.850 cause, if one came.
    pub q850: Option<i64>,
    /// An INVITE was sent.
    pub dialled: bool,
    /// When the intent was made, UTC milliseconds.
    pub intent_ms: i64,
    /// When it was answered, UTC milliseconds.
    pub answered_ms: Option<i64>,
    /// When an agent was put through, UTC milliseconds.
    pub connected_ms: Option<i64>,
    /// When it was over, UTC milliseconds.
    pub ended_ms: Option<i64>,
    /// Who ended an answered call: `customer`, `agent`, `dialer`, `both`, `unknown`.
    pub ended_by: Option<String>,
    /// The agent who had it.
    pub agent: Option<i64>,
    /// How long it rang, milliseconds.
    pub ringing_ms: i64,
    /// It counts as abandoned.
    pub abandoned: bool,
    /// How an orphan of a crash ended, where the result is `lost`.
    pub orphan: Option<String>,
    /// Everything that was seen.
    #[schema(value_type = Object)]
    pub evidence: serde_json::Value,
    /// The agent's choice.
    pub disposition: Option<String>,
    /// The business outcome.
    pub disposition_next: Option<String>,
}

impl From<StoredRow> for AttemptRow {
    fn from(row: StoredRow) -> Self {
        Self {
            attempt: row.attempt.to_string(),
            contact: row.contact,
            number: row.number.masked(),
            result: row.result,
            cisco: row.cisco,
            status: row.status,
            q850: row.q850,
            dialled: row.dialled_ms.is_some(),
            intent_ms: row.intent_ms,
            answered_ms: row.answered_ms,
            connected_ms: row.connected_ms,
            ended_ms: row.ended_ms,
            ended_by: row.ended_by,
            agent: row.agent,
            ringing_ms: row.rang_ms,
            abandoned: row.abandoned,
            orphan: row.orphan,
            evidence: serde_json::from_str(&row.evidence).unwrap_or_default(),
            disposition: row.disposition,
            disposition_next: row.disposition_next,
        }
    }
}

/// The attempts of a campaign that are over.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}/attempts", tag = "campaigns",
    params(("id" = i64, Path, description = "The campaign"), AttemptsQuery),
    responses((status = 200, body = AttemptsPage), (status = 404, body = ProblemBody)))]
pub async fn attempts(
    State(state): State<ApiState>,
    _: Machine,
    Path(id): Path<i64>,
    Query(query): Query<AttemptsQuery>,
) -> Result<Json<AttemptsPage>, Problem> {
    let id = expect(&state, CampaignId::new(id)).await?.id;
    let limit = query.limit.unwrap_or(100).clamp(1, LIMIT_MAX);
    let after = query.after.map(AttemptId::from_uuid);
    let rows = state.db().attempts_page(id, after, limit).await?;
    let items: Vec<_> = rows.into_iter().map(AttemptRow::from).collect();
    let is_full = u32::try_from(items.len()).is_ok_and(|count| count == limit);
    let next = items.last().filter(|_| is_full).map(|row| row.attempt.clone());
    Ok(Json(AttemptsPage { items, next }))
}

/// The dialer's own ledger of a campaign, counted from its attempts.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}/ledger", tag = "campaigns",
    params(("id" = i64, Path, description = "The campaign")),
    responses((status = 200, body = Ledger), (status = 404, body = ProblemBody)))]
pub async fn ledger(
    State(state): State<ApiState>,
    _: Machine,
    Path(id): Path<i64>,
) -> Result<Json<Ledger>, Problem> {
    let id = expect(&state, CampaignId::new(id)).await?.id;
    Ok(Json(state.db().ledger(id).await?))
}

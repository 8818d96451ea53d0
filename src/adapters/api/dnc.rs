//! Numbers that are not called: everybody's, or one campaign's.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::adapters::store::dnc::{DncRow as StoredRow, DncScope, NewDnc};
use crate::domain::ids::CampaignId;
use crate::domain::phone::E164;

use super::auth::Machine;
use super::campaigns::expect;
use super::error::{Problem, ProblemBody};
use super::extract::{Json, Path, Query};
use super::routes::Routes;
use super::state::ApiState;

const LIMIT_MAX: u32 = 1_000;
/// Longest reason, characters.
const REASON_MAX: usize = 500;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/dnc", dnc)
        .post("/api/v1/dnc", add_dnc)
        .delete("/api/v1/dnc/{number}", remove_dnc)
}

/// A number that must not be called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DncEntry {
    /// The number, E.164.
    #[schema(value_type = String, example = "+442079460018")]
    pub number: E164,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Only for this campaign; left out, for all.
    #[serde(default)]
    pub campaign: Option<i64>,
}

/// A number that is not called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DncRow {
    /// The number, E.164.
    #[schema(value_type = String)]
    pub number: E164,
    /// Why.
    pub reason: Option<String>,
    /// Only for this campaign; absent for all.
    pub campaign: Option<i64>,
    /// Where it came from: `api`, `agent`, a file's name.
    pub source: String,
    /// Who added it.
    pub made_by: String,
    /// Since when, UTC milliseconds.
    pub from_ms: i64,
}

impl From<StoredRow> for DncRow {
    fn from(row: StoredRow) -> Self {
        Self {
            number: row.number,
            reason: Some(row.reason).filter(|reason| !reason.is_empty()),
            campaign: match row.scope {
                DncScope::Own => None,
                DncScope::Campaign(id) => Some(id.get()),
            },
            source: row.source,
            made_by: row.made_by,
            from_ms: row.from.as_ms(),
        }
    }
}

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DncQuery {
    /// Go on after this number, E.164.
    #[param(value_type = Option<String>)]
    pub after: Option<E164>,
    /// So many rows at most, 1 to 1000; default 1000.
    pub limit: Option<u32>,
}

/// Whose entry is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ScopeQuery {
    /// Only the entry of this campaign; left out, the one for all.
    pub campaign: Option<i64>,
}

/// Numbers that are not called, by number.
#[utoipa::path(get, path = "/api/v1/dnc", tag = "do not call", params(DncQuery),
    responses((status = 200, body = [DncRow])))]
pub async fn dnc(
    State(state): State<ApiState>,
    _: Machine,
    Query(query): Query<DncQuery>,
) -> Result<Json<Vec<DncRow>>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_MAX).clamp(1, LIMIT_MAX);
    let rows = state.db().dnc_page(query.after, limit, state.now()).await?;
    Ok(Json(rows.into_iter().map(DncRow::from).collect()))
}

async fn scope_of(state: &ApiState, campaign: Option<i64>) -> Result<DncScope, Problem> {
    Ok(match campaign {
        None => DncScope::Own,
        Some(id) => DncScope::Campaign(expect(state, CampaignId::new(id)).await?.id),
    })
}

/// Forbids calls to a number, from this moment on.
#[utoipa::path(post, path = "/api/v1/dnc", tag = "do not call", request_body = DncEntry,
    responses((status = 201, body = DncRow), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
pub async fn add_dnc(
    State(state): State<ApiState>,
    Machine(user): Machine,
    Json(body): Json<DncEntry>,
) -> Result<(StatusCode, Json<DncRow>), Problem> {
    let reason = body.reason.unwrap_or_default();
    if reason.chars().count() > REASON_MAX {
        return Err(Problem::invalid(format!("reason: at most {REASON_MAX} characters")));
    }
    let scope = scope_of(&state, body.campaign).await?;
    let (by, at) = (user.by(), state.now());
    let new = NewDnc { number: body.number, scope, source: "api", reason: &reason, by: &by, at };
    state.db().dnc_add(&new).await?;
    let row = StoredRow {
        number: body.number,
        scope,
        source: String::from("api"),
        reason,
        made_by: by,
        from: at,
    };
    Ok((StatusCode::CREATED, Json(DncRow::from(row))))
}

/// Allows calls to a number again.
#[utoipa::path(delete, path = "/api/v1/dnc/{number}", tag = "do not call",
    params(("number" = String, Path, description = "The number, E.164"), ScopeQuery),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn remove_dnc(
    State(state): State<ApiState>,
    Machine(user): Machine,
    Path(number): Path<E164>,
    Query(query): Query<ScopeQuery>,
) -> Result<StatusCode, Problem> {
    let scope = scope_of(&state, query.campaign).await?;
    if !state.db().dnc_remove(number, scope, &user.by(), state.now()).await? {
        return Err(Problem::not_found("such entry"));
    }
    Ok(StatusCode::NO_CONTENT)
}

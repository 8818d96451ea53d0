//! Who changed what: the audit log, newest first.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::adapters::store::audit::AuditRow;

use super::auth::Manager;
use super::error::{Problem, ProblemBody};
use super::extract::{Json, Query};
use super::routes::Routes;
use super::state::ApiState;

const LIMIT_MAX: u32 = 1_000;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new().get("/api/v1/audit", audit)
}

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Go on after this row of the page before: its `next`.
    pub after: Option<i64>,
    /// So many rows at most, 1 to 1000; default 100.
    pub limit: Option<u32>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    pub items: Vec<AuditRow>,
    /// What to give as `after` for the next page; absent at the end.
    pub next: Option<i64>,
}

/// The audit log, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "access", params(AuditQuery),
    responses((status = 200, body = AuditPage), (status = 403, body = ProblemBody)))]
pub async fn audit(
    State(state): State<ApiState>,
    _: Manager,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    let limit = query.limit.unwrap_or(100).clamp(1, LIMIT_MAX);
    let items = state.db().audit_page(query.after, limit).await?;
    let is_full = u32::try_from(items.len()).is_ok_and(|count| count == limit);
    let next = items.last().filter(|_| is_full).map(|row| row.id);
    Ok(Json(AuditPage { items, next }))
}

//! Live calls under a manager's hand.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::domain::ids::AttemptId;

use super::agent_desk::Accepted;
use super::auth::Manager;
use super::error::{Problem, ProblemBody};
use super::extract::{Json, Path};
use super::routes::Routes;
use super::state::ApiState;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new().post("/api/v1/calls/{attempt}/hangup", hang_up)
}

/// Ends a call: one that rings is cancelled, one in talk is hung up.
#[utoipa::path(post, path = "/api/v1/calls/{attempt}/hangup", tag = "calls",
    params(("attempt" = String, Path, format = "uuid", description = "The attempt's uuid")),
    responses((status = 202, body = Accepted), (status = 503, body = ProblemBody)))]
pub async fn hang_up(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(attempt): Path<Uuid>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let attempt = AttemptId::from_uuid(attempt);
    state.gate().hang_up(attempt)?;
    state.audit(&user, "call.hangup", json!({ "attempt": attempt })).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted {})))
}

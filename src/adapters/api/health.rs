//! Whether the program lives, whether it is ready, and what it counted. No sign-in: an orchestrator
//! and Prometheus ask, and nothing personal is answered.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Kind, Problem, ProblemBody};
use super::extract::Json;
use super::routes::Routes;
use super::state::ApiState;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new().get("/healthz", healthz).get("/readyz", readyz).get("/metrics", metrics)
}

/// The state of the program.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// Name of this installation.
    pub instance: String,
    /// When the process began, UTC milliseconds.
    pub started_ms: i64,
}

/// The process lives and answers.
#[utoipa::path(get, path = "/healthz", tag = "running", security(()),
    responses((status = 200, body = Health)))]
pub async fn healthz(State(state): State<ApiState>) -> Json<Health> {
    Json(health(&state))
}

/// It may be given work: the database answers, the dialer runs and is not ending.
#[utoipa::path(get, path = "/readyz", tag = "running", security(()),
    responses((status = 200, body = Health), (status = 503, body = ProblemBody)))]
pub async fn readyz(State(state): State<ApiState>) -> Result<Json<Health>, Problem> {
    if *state.shutdown().borrow() || state.gate().live().borrow().draining {
        return Err(Kind::ShuttingDown.into());
    }
    if state.gate().live().has_changed().is_err() {
        return Err(Problem::new(Kind::ShuttingDown, "the dialer does not run"));
    }
    if state.db().ping().await.is_err() {
        return Err(Problem::new(Kind::Busy, "the database does not answer"));
    }
    Ok(Json(health(&state)))
}

fn health(state: &ApiState) -> Health {
    Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        instance: state.options().instance.clone(),
        started_ms: state.started().as_ms(),
    }
}

/// What was counted, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "running", security(()),
    responses((status = 200, content_type = "text/plain", body = String)))]
pub async fn metrics(State(state): State<ApiState>) -> Response {
    let live = state.gate().live().borrow().clone();
    let text = state.metrics().render(&live);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

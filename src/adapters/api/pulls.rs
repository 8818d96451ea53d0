//! Segments pulled from a CRM: a job of its own, whose progress can be asked for.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::adapters::crm::pull::{Segment, pull};
use crate::adapters::crm::url_guard::check_url;
use crate::adapters::import::job::Import;
use crate::adapters::secret::Secret;
use crate::domain::ids::uuid_v7;

use super::auth::{Machine, User};
use super::error::{Problem, ProblemBody};
use super::extract::Json;
use super::jobs::JobHandle;
use super::lists::{ImportReport, finish, new_import};
use super::routes::Routes;
use super::state::{ApiState, begins_to_end};

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new().post("/api/v1/lists/pull", pull_list)
}

/// Where a segment is, and how it is read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PullBody {
    /// The list's name.
    pub name: String,
    /// The address of its first page; `page` and `per_page` are added.
    pub url: String,
    /// Which path of a record is what: `phone=phones.0.number,name=full_name,external_ref=id`.
    #[serde(default)]
    pub map: Option<String>,
    /// The country of numbers written without one, two letters.
    #[serde(default)]
    pub region: Option<String>,
    /// The zone of contacts whose record and number tell none (IANA).
    #[serde(default)]
    pub zone: Option<String>,
    /// A bearer token for the CRM. It is used and not kept.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub token: Option<Secret>,
}

/// A job that began.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobStarted {
    /// Its id, for GET /jobs/{id}.
    #[schema(value_type = String, format = "uuid")]
    pub job: Uuid,
}

/// Pulls a segment from a CRM over paged HTTP JSON. The list is seen whole or not at all.
#[utoipa::path(post, path = "/api/v1/lists/pull", tag = "lists", request_body = PullBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Same key, same answer")),
    responses((status = 202, body = JobStarted), (status = 422, body = ProblemBody),
        (status = 503, body = ProblemBody)))]
pub async fn pull_list(
    State(state): State<ApiState>,
    Machine(user): Machine,
    Json(body): Json<PullBody>,
) -> Result<(StatusCode, Json<JobStarted>), Problem> {
    let allow_private_addresses = state.options().allow_private_addresses;
    let url = check_url(&body.url, allow_private_addresses)
        .map_err(|error| Problem::invalid(format!("url: {error}")))?;
    let reading = [body.map.as_deref(), body.region.as_deref(), body.zone.as_deref()];
    // The query of an address may hold a key; people see where a list came from without it.
    let source = format!("{}{}", url.origin().ascii_serialization(), url.path());
    let import = new_import(&state, &body.name, &source, reading)?;
    let segment = Segment { url: body.url, token: body.token, allow_private_addresses };
    let job = state.jobs().begin(uuid_v7(state.now(), rand::random()))?;
    let started = JobStarted { job: job.id() };
    tokio::spawn(run(state, user, import, segment, job));
    Ok((StatusCode::ACCEPTED, Json(started)))
}

/// The job itself. The end of the program drops the pull, and the list with it.
async fn run(state: ApiState, user: User, import: Import, segment: Segment, job: JobHandle) {
    let name = import.name.clone();
    let mut shutdown = state.shutdown();
    // Dropping the pull is its way to be cut short: nothing of it stays.
    let result = tokio::select! {
        result = pull(import, &segment, |at| job.progress(at.rows, at.total)) => result,
        () = begins_to_end(&mut shutdown) => return,
    };
    match result {
        Ok(report) => {
            let report = ImportReport::from(report);
            let list = report.list;
            if finish(&state, &user, &report, &name).await.is_err() {
                tracing::warn!(list.id = list, "a pulled list has no audit row");
            }
            job.end(Ok(report));
        }
        Err(error) => {
            tracing::warn!(%error, "a pull ended in vain");
            job.end(Err(error.to_string()));
        }
    }
}

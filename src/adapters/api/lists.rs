//! Lists of contacts: brought in by file or from a CRM, with a report of what was left out.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use utoipa::{IntoParams, ToSchema};

use crate::adapters::import::job::{Import, ImportError, Report, import_csv};
use crate::adapters::import::rejects::rejects_file;
use crate::adapters::import::row::Reading;
use crate::adapters::store::lists::ListRow;
use crate::domain::ids::ListId;

use super::auth::{Machine, User};
use super::error::{Kind, Problem, ProblemBody};
use super::extract::{Json, Path, Query};
use super::routes::Routes;
use super::session::checked_name;
use super::state::ApiState;

/// A file of some ten million rows; more is a mistake or an attack.
const UPLOAD_MAX: u64 = 2 * 1_024 * 1_024 * 1_024;
/// What a file of rejects is sent in.
const CHUNK: usize = 64 * 1_024;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/lists", lists)
        .post("/api/v1/lists/import", import)
        .get("/api/v1/lists/{id}/rejects", rejects)
}

/// What became of the rows of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// The new list.
    pub list: i64,
    /// Rows read.
    pub rows: u64,
    /// Rows that became contacts.
    pub accepted: u64,
    /// Rows whose number stood in the list already.
    pub duplicates: u64,
    /// Rows that cannot be dialled.
    pub rejected: u64,
    /// Where each rejected row is told, with its reason; absent when there is none.
    pub rejects_url: Option<String>,
}

impl From<Report> for ImportReport {
    fn from(report: Report) -> Self {
        let list = report.list;
        Self {
            list: list.get(),
            rows: report.rows,
            accepted: report.accepted,
            duplicates: report.duplicates,
            rejected: report.rejected,
            rejects_url: (report.rejected > 0).then(|| format!("/api/v1/lists/{list}/rejects")),
        }
    }
}

/// How a file is read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// The list's name.
    pub name: String,
    /// Which column is what: `phone=Телефон,name=ПІБ,external_ref=id,zone=tz,priority=score`; a
    /// column that is not named is known by its header or becomes a field.
    pub map: Option<String>,
    /// The country of numbers written without one, two letters.
    pub region: Option<String>,
    /// The zone of contacts whose row and number tell none (IANA).
    pub zone: Option<String>,
}

/// All lists.
#[utoipa::path(get, path = "/api/v1/lists", tag = "lists",
    responses((status = 200, body = [ListRow])))]
pub async fn lists(
    State(state): State<ApiState>,
    _: Machine,
) -> Result<Json<Vec<ListRow>>, Problem> {
    ready(&state).await.map(Json)
}

/// Lists that are whole; one that is being loaded or was dropped is nobody's business.
async fn ready(state: &ApiState) -> Result<Vec<ListRow>, Problem> {
    let mut rows = state.db().lists().await?;
    rows.retain(|row| row.state == "ready");
    Ok(rows)
}

/// Imports a CSV file (UTF-8, a header row, comma or semicolon). The list is seen whole or not at all.
#[utoipa::path(post, path = "/api/v1/lists/import", tag = "lists",
    params(ImportQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Same key, same answer")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 201, body = ImportReport), (status = 413, body = ProblemBody),
        (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn import(
    State(state): State<ApiState>,
    Machine(user): Machine,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<ImportReport>), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/csv")) {
        return Err(Problem::new(Kind::UnsupportedMediaType, "send the file as text/csv"));
    }
    let import = new_import(
        &state,
        &query.name,
        "upload",
        [query.map.as_deref(), query.region.as_deref(), query.zone.as_deref()],
    )?;
    let file = spool(&state, body).await?;
    // Dropped with this request if the client goes away: the unfinished list goes too.
    let report = import_csv(import, file.path(), |_| {}).await.map_err(problem_of)?;
    let report = ImportReport::from(report);
    finish(&state, &user, &report, &query.name).await?;
    Ok((StatusCode::CREATED, Json(report)))
}

/// What is common to both ways in.
pub(super) fn new_import(
    state: &ApiState,
    name: &str,
    source: &str,
    [map, region, zone]: [Option<&str>; 3],
) -> Result<Import, Problem> {
    let name = checked_name(name)?.to_owned();
    let reading =
        Reading::parse(map, region, zone).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(Import {
        db: state.db().clone(),
        name,
        source: source.to_owned(),
        reading,
        rejects_dir: state.options().rejects_dir.clone(),
        clock: Arc::clone(&state.options().clock),
    })
}

/// Writes down who brought a list in.
pub(super) async fn finish(
    state: &ApiState,
    user: &User,
    report: &ImportReport,
    name: &str,
) -> Result<(), Problem> {
    let detail = json!({
        "list": report.list, "name": name, "rows": report.rows, "accepted": report.accepted
    });
    state.audit(user, "list.imported", detail).await
}

/// Puts an upload into a file of its own, readable by us alone and deleted with the handle: the
/// reader takes a file, and a slow upload holds no list open.
async fn spool(state: &ApiState, body: Body) -> Result<tempfile::NamedTempFile, Problem> {
    let folder = &state.options().rejects_dir;
    let broken = |error: std::io::Error| {
        tracing::error!(%error, "an upload cannot be kept");
        Problem::new(Kind::Internal, "the upload cannot be kept; see the log")
    };
    tokio::fs::create_dir_all(folder).await.map_err(broken)?;
    let file = tempfile::Builder::new().prefix("upload-").tempfile_in(folder).map_err(broken)?;
    let mut out = tokio::fs::File::from_std(file.reopen().map_err(broken)?);
    let mut stream = body.into_data_stream();
    let mut size: u64 = 0;
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|_| Problem::new(Kind::BadRequest, "the upload was cut short"))?;
        size += chunk.len() as u64;
        if size > UPLOAD_MAX {
            return Err(Problem::new(Kind::TooLarge, "a file has at most 2 GiB"));
        }
        out.write_all(&chunk).await.map_err(broken)?;
    }
    out.flush().await.map_err(broken)?;
    Ok(file)
}

fn problem_of(error: ImportError) -> Problem {
    match error {
        ImportError::Csv(error) => Problem::invalid(error.to_string()),
        ImportError::Store(error) => error.into(),
        ImportError::Rejects(_) | ImportError::Interrupted => {
            tracing::error!(%error, "an import failed");
            Problem::new(Kind::Internal, "the import failed; see the log")
        }
    }
}

/// The rows that were left out: row, column, reason, value.
#[utoipa::path(get, path = "/api/v1/lists/{id}/rejects", tag = "lists",
    params(("id" = i64, Path, description = "The list")),
    responses((status = 200, content_type = "text/csv", body = String),
        (status = 404, body = ProblemBody)))]
pub async fn rejects(
    State(state): State<ApiState>,
    _: Machine,
    Path(id): Path<i64>,
) -> Result<Response, Problem> {
    if !ready(&state).await?.iter().any(|row| row.id == id) {
        return Err(Problem::not_found("such list"));
    }
    let path = rejects_file(&state.options().rejects_dir, ListId::new(id));
    let headers = [
        (header::CONTENT_TYPE, String::from("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"list-{id}-rejects.csv\"")),
        (header::CACHE_CONTROL, String::from("no-store")),
    ];
    Ok((headers, file_body(path).await?).into_response())
}

/// A file as it is read; a file that is not there has no rows.
async fn file_body(path: PathBuf) -> Result<Body, Problem> {
    let file = match tokio::fs::File::open(&path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Body::from("row,column,reason,value\n"));
        }
        Err(error) => {
            tracing::error!(%error, "a reject file cannot be read");
            return Err(Problem::new(Kind::Internal, "the reject file cannot be read"));
        }
    };
    Ok(Body::from_stream(futures_util::stream::try_unfold(file, async |mut file| {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        std::io::Result::Ok((read > 0).then_some((chunk, file)))
    })))
}

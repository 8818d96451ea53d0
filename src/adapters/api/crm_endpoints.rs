//! Where CRM events are posted, and what was given up there.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::adapters::crm::payload::TYPES;
use crate::adapters::crm::signature::{NEW_KEY_BYTES, SigningKey};
use crate::adapters::crm::url_guard::check_url;
use crate::adapters::gate::Reload;
use crate::adapters::secret::Secret;
use crate::adapters::store::crm_endpoints::{EndpointId, EndpointRow, NewEndpoint};
use crate::adapters::store::crm_outbox::DeadLetter;

use super::auth::Manager;
use super::error::{Problem, ProblemBody};
use super::extract::{Json, Path, Query};
use super::routes::Routes;
use super::session::checked_name;
use super::state::ApiState;

const LIMIT_MAX: u32 = 1_000;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/crm-endpoints", endpoints)
        .post("/api/v1/crm-endpoints", create_endpoint)
        .post("/api/v1/crm-endpoints/{id}/enable", enable)
        .post("/api/v1/crm-endpoints/{id}/disable", disable)
        .get("/api/v1/crm-endpoints/{id}/dead-letters", dead_letters)
        .post("/api/v1/crm-endpoints/{id}/redeliver", redeliver)
}

/// A receiver of CRM events to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointBody {
    /// Its name.
    pub name: String,
    /// Where events are posted.
    pub url: String,
    /// The key of the signature, `whsec_…`; made here if left out.
    #[schema(value_type = Option<String>)]
    pub secret: Option<Secret>,
    /// Types it wants; none means all.
    #[serde(default)]
    #[schema(example = json!(["campanile.call.ended"]))]
    pub events: Vec<String>,
}

/// A new receiver.
#[derive(Serialize, ToSchema)]
pub struct NewEndpointView {
    /// Its id.
    pub id: i64,
    /// The key of the signature, if it was made here. Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A receiver of CRM events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EndpointView {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Where events are posted.
    pub url: String,
    /// Types it wants; none means all.
    pub events: Vec<String>,
    /// Events are posted to it.
    pub enabled: bool,
    /// Why not, if not.
    pub disabled_why: Option<String>,
    /// It is left alone until then, UTC milliseconds.
    pub backoff_until_ms: Option<i64>,
}

impl EndpointView {
    fn of(row: EndpointRow, now_ms: i64) -> Self {
        Self {
            id: row.id.get(),
            name: row.name,
            url: row.url,
            events: row.events,
            enabled: row.is_enabled,
            disabled_why: row.disabled_why,
            backoff_until_ms: Some(row.backoff_until.as_ms()).filter(|until| *until > now_ms),
        }
    }
}

/// All receivers of CRM events.
#[utoipa::path(get, path = "/api/v1/crm-endpoints", tag = "CRM",
    responses((status = 200, body = [EndpointView])))]
pub async fn endpoints(
    State(state): State<ApiState>,
    _: Manager,
) -> Result<Json<Vec<EndpointView>>, Problem> {
    let now_ms = state.now().as_ms();
    let rows = state.db().crm_endpoints().await?;
    Ok(Json(rows.into_iter().map(|row| EndpointView::of(row, now_ms)).collect()))
}

/// Adds a receiver: events are kept for it from this moment on.
#[utoipa::path(post, path = "/api/v1/crm-endpoints", tag = "CRM", request_body = EndpointBody,
    responses((status = 201, body = NewEndpointView), (status = 422, body = ProblemBody)))]
pub async fn create_endpoint(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Json(body): Json<EndpointBody>,
) -> Result<(StatusCode, Json<NewEndpointView>), Problem> {
    let name = checked_name(&body.name)?;
    let url = check_url(&body.url, state.options().allow_private_addresses)
        .map_err(|error| Problem::invalid(format!("url: {error}")))?;
    if let Some(unknown) = body.events.iter().find(|kind| !TYPES.contains(&kind.as_str())) {
        let known = TYPES.join(", ");
        return Err(Problem::invalid(format!("events: {unknown:?} is none of {known}")));
    }
    let given = body.secret.is_some();
    let made = || Secret::new(SigningKey::text_of(&rand::random::<[u8; NEW_KEY_BYTES]>()));
    let secret = body.secret.unwrap_or_else(made);
    if SigningKey::parse(secret.reveal()).is_err() {
        return Err(Problem::invalid("secret: whsec_ and 24 to 64 bytes as base64"));
    }
    let new = NewEndpoint { name, url: url.as_str(), secret: &secret, events: &body.events };
    let id = state.db().create_crm_endpoint(&new, &user.by(), state.now()).await?;
    state.reload(Reload::CrmEndpoints).await?;
    let secret = (!given).then(|| secret.reveal().to_owned());
    Ok((StatusCode::CREATED, Json(NewEndpointView { id: id.get(), secret })))
}

async fn expect(state: &ApiState, id: i64) -> Result<EndpointRow, Problem> {
    let rows = state.db().crm_endpoints().await?;
    let row = rows.into_iter().find(|row| row.id.get() == id);
    row.ok_or_else(|| Problem::not_found("such CRM endpoint"))
}

/// Posts to a receiver again, beginning with what waited.
#[utoipa::path(post, path = "/api/v1/crm-endpoints/{id}/enable", tag = "CRM",
    params(("id" = i64, Path, description = "The receiver")),
    responses((status = 200, body = EndpointView), (status = 404, body = ProblemBody)))]
pub async fn enable(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
) -> Result<Json<EndpointView>, Problem> {
    state.db().enable_endpoint(EndpointId::new(id), &user.by(), state.now()).await?;
    changed(&state, id).await
}

/// Posts nothing more to a receiver; what waits for it stays, what happens meanwhile is not kept.
#[utoipa::path(post, path = "/api/v1/crm-endpoints/{id}/disable", tag = "CRM",
    params(("id" = i64, Path, description = "The receiver")),
    responses((status = 200, body = EndpointView), (status = 404, body = ProblemBody)))]
pub async fn disable(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
) -> Result<Json<EndpointView>, Problem> {
    let (by, now) = (user.by(), state.now());
    state.db().disable_endpoint(EndpointId::new(id), "switched off", &by, now).await?;
    changed(&state, id).await
}

async fn changed(state: &ApiState, id: i64) -> Result<Json<EndpointView>, Problem> {
    state.reload(Reload::CrmEndpoints).await?;
    let row = expect(state, id).await?;
    Ok(Json(EndpointView::of(row, state.now().as_ms())))
}

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LettersQuery {
    /// Go on after this row of the page before.
    pub after: Option<i64>,
    /// So many rows at most, 1 to 1000; default 100.
    pub limit: Option<u32>,
}

/// Events that were given up.
#[utoipa::path(get, path = "/api/v1/crm-endpoints/{id}/dead-letters", tag = "CRM",
    params(("id" = i64, Path, description = "The receiver"), LettersQuery),
    responses((status = 200, body = [DeadLetter]), (status = 404, body = ProblemBody)))]
pub async fn dead_letters(
    State(state): State<ApiState>,
    _: Manager,
    Path(id): Path<i64>,
    Query(query): Query<LettersQuery>,
) -> Result<Json<Vec<DeadLetter>>, Problem> {
    let id = expect(&state, id).await?.id;
    let limit = query.limit.unwrap_or(100).clamp(1, LIMIT_MAX);
    Ok(Json(state.db().dead_letters(id, query.after, limit).await?))
}

/// How many events are tried again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Redelivered {
    /// Events put back into the outbox.
    pub redelivered: u64,
}

/// Tries everything again that was given up.
#[utoipa::path(post, path = "/api/v1/crm-endpoints/{id}/redeliver", tag = "CRM",
    params(("id" = i64, Path, description = "The receiver")),
    responses((status = 200, body = Redelivered), (status = 404, body = ProblemBody)))]
pub async fn redeliver(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
) -> Result<Json<Redelivered>, Problem> {
    let endpoint = expect(&state, id).await?.id;
    let redelivered = state.db().redeliver(endpoint).await?;
    let detail = serde_json::json!({ "id": id, "events": redelivered });
    state.audit(&user, "crm_endpoint.redelivered", detail).await?;
    state.reload(Reload::CrmEndpoints).await?;
    Ok(Json(Redelivered { redelivered }))
}

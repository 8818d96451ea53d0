//! Bearer tokens for machines, and people with a role of their own.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::adapters::secret::Secret;
use crate::adapters::store::{Db, StoreError};
use crate::domain::ids::{AgentId, UserId};
use crate::domain::time::Utc;

use super::agents::NewLink;
use super::auth::{Admin, Role};
use super::error::{Kind, Problem, ProblemBody};
use super::extract::{Json, Path};
use super::routes::Routes;
use super::session::{UserView, checked_name, link_for};
use super::state::ApiState;
use super::token;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/tokens", tokens)
        .post("/api/v1/tokens", create_token)
        .delete("/api/v1/tokens/{id}", revoke_token)
        .get("/api/v1/users", users)
        .post("/api/v1/users", create_user)
        .delete("/api/v1/users/{id}", remove_user)
}

/// Who or what gets in, and as what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewName {
    /// Its name, as audit rows show it.
    pub name: String,
    /// What it may do. An agent's token is made at the agent.
    pub role: Role,
}

/// A bearer token.
#[derive(Serialize, ToSchema)]
pub struct NewToken {
    /// The token. Shown this once; the store keeps its hash.
    pub token: String,
}

/// Makes a token and keeps its hash; also for the program itself (the command line's token).
pub async fn mint_token(
    db: &Db,
    name: &str,
    role: Role,
    agent: Option<AgentId>,
    now: Utc,
) -> Result<Secret, StoreError> {
    let token = token::new_token("token");
    db.add_api_token(&token::hash(token.reveal()), name, role.word(), agent, now).await?;
    Ok(token)
}

pub(super) async fn add_token(
    state: &ApiState,
    name: &str,
    role: Role,
    agent: Option<AgentId>,
) -> Result<String, Problem> {
    let token = mint_token(state.db(), name, role, agent, state.now()).await?;
    Ok(token.reveal().to_owned())
}

/// Makes a bearer token for a machine.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "access", request_body = NewName,
    responses((status = 201, body = NewToken), (status = 422, body = ProblemBody)))]
pub async fn create_token(
    State(state): State<ApiState>,
    Admin(user): Admin,
    Json(body): Json<NewName>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    let name = checked_name(&body.name)?;
    if body.role == Role::Agent {
        return Err(Problem::invalid("role: an agent's token is made by POST /agents/{id}/token"));
    }
    let token = add_token(&state, name, body.role, None).await?;
    let detail = json!({ "name": name, "role": body.role });
    state.audit(&user, "token.created", detail).await?;
    Ok((StatusCode::CREATED, Json(NewToken { token })))
}

/// A token without itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenView {
    /// Names it here.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: String,
    /// Whose desk it acts at.
    pub agent: Option<i64>,
    /// When it was made, UTC milliseconds.
    pub created_ms: i64,
}

/// All tokens that are good, the newest first.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access",
    responses((status = 200, body = [TokenView])))]
pub async fn tokens(
    State(state): State<ApiState>,
    _: Admin,
) -> Result<Json<Vec<TokenView>>, Problem> {
    let rows = state.db().api_tokens().await?;
    let views = rows.into_iter().map(|row| TokenView {
        id: row.id,
        name: row.token.name,
        role: row.token.role,
        agent: row.token.agent.map(AgentId::get),
        created_ms: row.created.as_ms(),
    });
    Ok(Json(views.collect()))
}

/// Makes a token good for nothing, from its next request on.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "access",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub async fn revoke_token(
    State(state): State<ApiState>,
    Admin(user): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if !state.db().revoke_api_token(&id, state.now()).await? {
        return Err(Problem::not_found("such token"));
    }
    state.audit(&user, "token.revoked", json!({ "id": id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All people who may sign in.
#[utoipa::path(get, path = "/api/v1/users", tag = "access",
    responses((status = 200, body = [UserView])))]
pub async fn users(
    State(state): State<ApiState>,
    _: Admin,
) -> Result<Json<Vec<UserView>>, Problem> {
    let rows = state.db().users().await?;
    let views = rows.into_iter().filter_map(|row| {
        Some(UserView {
            id: row.id.get(),
            role: Role::from_word(&row.role)?,
            agent: row.agent.map(AgentId::get),
            must_set_password: row.password_hash.is_none(),
            name: row.name,
        })
    });
    Ok(Json(views.collect()))
}

/// Makes a manager or administrator; the one-time link lets them in.
#[utoipa::path(post, path = "/api/v1/users", tag = "access", request_body = NewName,
    responses((status = 201, body = NewLink), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
pub async fn create_user(
    State(state): State<ApiState>,
    Admin(user): Admin,
    Json(body): Json<NewName>,
) -> Result<(StatusCode, Json<NewLink>), Problem> {
    let name = checked_name(&body.name)?;
    if !matches!(body.role, Role::Admin | Role::Manager) {
        return Err(Problem::invalid("role: admin or manager; agents are made by POST /agents"));
    }
    if state.db().user_by_name(name).await?.is_some() {
        return Err(Problem::new(Kind::Conflict, "another user has this name"));
    }
    let now = state.now();
    let id: UserId = state.db().create_user(name, body.role.word(), None, now).await?;
    let link = link_for(state.db(), &state.options().base_url, id, now).await?;
    let detail = json!({ "id": id, "name": name, "role": body.role });
    state.audit(&user, "user.created", detail).await?;
    Ok((StatusCode::CREATED, Json(NewLink { link })))
}

/// Takes a user away; their sessions and links end at once.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "access",
    params(("id" = i64, Path, description = "The user")),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub async fn remove_user(
    State(state): State<ApiState>,
    Admin(user): Admin,
    Path(id): Path<i64>,
) -> Result<StatusCode, Problem> {
    let id = UserId::new(id);
    if user.id == Some(id) {
        // An administrator is left over: whoever asks.
        return Err(Problem::new(Kind::Conflict, "nobody takes themselves away"));
    }
    if !state.db().remove_user(id).await? {
        return Err(Problem::not_found("such user"));
    }
    state.audit(&user, "user.removed", json!({ "id": id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

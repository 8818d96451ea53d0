//! Signing in and out: by name and password, or by a one-time link.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::adapters::secret::Secret;
use crate::adapters::store::{Db, StoreError};
use crate::domain::ids::UserId;
use crate::domain::time::Utc;

use super::auth::{self, COOKIE, Proof, Role, User};
use super::error::{Kind, Problem, ProblemBody};
use super::extract::Json;
use super::routes::Routes;
use super::state::ApiState;
use super::token;

/// A shift and a little more.
pub const SESSION_LIFE: Duration = Duration::from_hours(14);
/// How long a one-time link waits to be used.
pub const LINK_LIFE: Duration = Duration::from_hours(7 * 24);
/// Longest name of a user, characters.
const NAME_MAX: usize = 64;
/// The name of the first administrator until they choose one.
const FIRST_NAME: &str = "admin";

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/session", session)
        .post("/api/v1/session", sign_in)
        .delete("/api/v1/session", sign_out)
        .post("/api/v1/session/password", set_password)
}

/// Name and password, or the token of a one-time link.
#[derive(Deserialize, ToSchema)]
pub struct SignIn {
    /// The user's name.
    pub name: Option<String>,
    /// Their password.
    #[schema(value_type = Option<String>)]
    pub password: Option<Secret>,
    /// The last part of a one-time link.
    #[schema(value_type = Option<String>)]
    pub link: Option<Secret>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
pub struct NewPassword {
    /// The name to sign in with from here on; left out, it stays.
    pub name: Option<String>,
    /// At least 8 characters.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// The user.
    pub user: UserView,
    /// To be sent as `X-CSRF-Token` with each change; empty for bearer tokens, which need none.
    pub csrf: String,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserView {
    /// Their id; 0 for a token.
    pub id: i64,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whose desk is theirs.
    pub agent: Option<i64>,
    /// They came by a link and have no password yet.
    pub must_set_password: bool,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.map_or(0, UserId::get),
            name: user.name.clone(),
            role: user.role,
            agent: user.agent.map(crate::domain::ids::AgentId::get),
            must_set_password: user.must_set_password,
        }
    }
}

/// A sign-in comes from a page: the name it asks for and the page it comes from are checked, and
/// the address is what attempts are counted by.
pub struct FromPage(IpAddr);

impl FromRequestParts<ApiState> for FromPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        auth::check_host(parts, state)?;
        let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())))
    }
}

/// Who is signed in, and the CSRF token of the session.
#[utoipa::path(get, path = "/api/v1/session", tag = "session",
    responses((status = 200, body = SessionView), (status = 401, body = ProblemBody)))]
pub async fn session(user: User, headers: HeaderMap) -> Json<SessionView> {
    let csrf = match user.proof {
        Proof::Session(_) => auth::cookie(&headers).map(token::csrf).unwrap_or_default(),
        Proof::Token(_) => String::new(),
    };
    Json(SessionView { user: UserView::from(&user), csrf })
}

/// Signs in by name and password or by a one-time link; sets the session's cookie.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = SignIn,
    security(()),
    responses((status = 200, body = SessionView), (status = 401, body = ProblemBody),
        (status = 429, body = ProblemBody)))]
pub async fn sign_in(
    State(state): State<ApiState>,
    FromPage(from): FromPage,
    Json(body): Json<SignIn>,
) -> Result<Response, Problem> {
    let id = match body {
        SignIn { link: Some(link), name: None, password: None } => by_link(&state, &link).await?,
        SignIn { link: None, name: Some(name), password: Some(password) } => {
            by_password(&state, &name, password, from).await?
        }
        _ => return Err(Problem::invalid("give name and password, or a link")),
    };
    let session = token::new_token("session");
    let hash = token::hash(session.reveal());
    let now = state.now();
    state.db().add_session(&hash, id, now, now + SESSION_LIFE).await?;
    let user = auth::by_session(&state, session.reveal()).await?;
    state.audit(&user, "session.begin", json!({})).await?;
    let view = SessionView { user: UserView::from(&user), csrf: token::csrf(session.reveal()) };
    let cookie = cookie_of(&state, session.reveal(), SESSION_LIFE)?;
    Ok(([(header::SET_COOKIE, cookie)], Json(view)).into_response())
}

async fn by_link(state: &ApiState, link: &Secret) -> Result<UserId, Problem> {
    let hash = token::hash(link.reveal());
    let user = state.db().use_link(&hash, state.now()).await?;
    user.ok_or_else(|| Problem::new(Kind::WrongCredentials, "the link was used or is too old"))
}

async fn by_password(
    state: &ApiState,
    name: &str,
    password: Secret,
    from: IpAddr,
) -> Result<UserId, Problem> {
    state.passwords().may_try(name, from)?;
    let row = state.db().user_by_name(name).await?;
    let hash = row.as_ref().and_then(|row| row.password_hash.clone());
    let right = state.passwords().is_right(password, hash).await?;
    match row {
        Some(row) if right => Ok(row.id),
        _ => {
            tracing::warn!(address = %from, "a sign-in was refused");
            Err(Problem::new(Kind::WrongCredentials, "name or password is not right"))
        }
    }
}

/// The session's cookie: out of reach of scripts and of other sites' pages.
fn cookie_of(state: &ApiState, token: &str, life: Duration) -> Result<HeaderValue, Problem> {
    let secure = if state.options().base_url.starts_with("https:") { "; Secure" } else { "" };
    let age = life.as_secs();
    let text =
        format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}{secure}");
    HeaderValue::from_str(&text).map_err(|_| Kind::Internal.into())
}

/// Signs out; the session is over at once.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session",
    responses((status = 204), (status = 401, body = ProblemBody)))]
pub async fn sign_out(State(state): State<ApiState>, user: User) -> Result<Response, Problem> {
    if let Proof::Session(hash) = user.proof {
        state.db().end_session(&hash).await?;
        state.audit(&user, "session.end", json!({})).await?;
    }
    let cookie = cookie_of(&state, "", Duration::ZERO)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Sets the password (and the name) of who is signed in; every other session of theirs ends.
#[utoipa::path(post, path = "/api/v1/session/password", tag = "session",
    request_body = NewPassword,
    responses((status = 204), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub async fn set_password(
    State(state): State<ApiState>,
    user: User,
    Json(body): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    let (Some(id), Proof::Session(hash)) = (user.id, user.proof) else {
        return Err(Problem::new(Kind::Forbidden, "a token has no password"));
    };
    let name = match &body.name {
        Some(name) => checked_name(name)?,
        None => user.name.as_str(),
    };
    let password = state.passwords().hash(body.password).await?;
    state.db().set_user_password(id, name, &password, &hash).await?;
    state.audit(&user, "user.password", json!({ "user": id, "name": name })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A user's name as it may be.
pub(super) fn checked_name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Problem::invalid(format!("a name has 1 to {NAME_MAX} characters")));
    }
    Ok(name)
}

/// A one-time link for `user`: its page signs them in.
pub(super) async fn link_for(
    db: &Db,
    base_url: &str,
    user: UserId,
    now: Utc,
) -> Result<String, StoreError> {
    let link = token::new_token("link");
    db.add_link(&token::hash(link.reveal()), user, now, now + LINK_LIFE).await?;
    Ok(format!("{}/link/{}", base_url.trim_end_matches('/'), link.reveal()))
}

/// The one-time link that makes the administrator, as long as no administrator has a password.
pub async fn first_start_link(
    db: &Db,
    base_url: &str,
    now: Utc,
) -> Result<Option<String>, StoreError> {
    let users = db.users().await?;
    let admins = || users.iter().filter(|user| user.role == Role::Admin.word());
    if admins().any(|user| user.password_hash.is_some()) {
        return Ok(None);
    }
    let id = match admins().next() {
        Some(admin) => admin.id,
        None => db.create_user(FIRST_NAME, Role::Admin.word(), None, now).await?,
    };
    link_for(db, base_url, id, now).await.map(Some)
}

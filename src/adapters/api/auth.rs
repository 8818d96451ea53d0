//! Who asks: a page by its session cookie, a machine by its bearer token; and what each may do.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ids::{AgentId, UserId};

use super::error::{Kind, Problem};
use super::state::ApiState;
use super::{host, token};

/// The cookie of a page's session.
pub const COOKIE: &str = "campanile_session";
/// The header that each change by a page carries.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// What someone may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, users and tokens included.
    Admin,
    /// Campaigns, lists, agents, trunks, reports.
    Manager,
    /// Their own desk.
    Agent,
    /// Lists in, do-not-call in, results out.
    Integration,
}

impl Role {
    /// The word in the store and the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Agent => "agent",
            Self::Integration => "integration",
        }
    }

    /// The role with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Admin, Self::Manager, Self::Agent, Self::Integration]
            .into_iter()
            .find(|role| role.word() == word)
    }
}

/// How someone proved who they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A session, by the hash of its token.
    Session([u8; 32]),
    /// An API token, by its hash.
    Token([u8; 32]),
}

/// Someone who is signed in.
#[derive(Clone)]
pub struct User {
    /// Their row; machines have none.
    pub id: Option<UserId>,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whose desk is theirs.
    pub agent: Option<AgentId>,
    /// They came by a link and have no password yet.
    pub must_set_password: bool,
    /// How they proved it.
    pub proof: Proof,
}

impl User {
    /// How audit rows and versions name them.
    pub fn by(&self) -> String {
        match self.id {
            Some(id) => format!("user:{id}"),
            None => format!("token:{}", self.name),
        }
    }

    /// A stable name for what belongs to them alone: their idempotency keys.
    pub fn scope(&self) -> String {
        match (self.id, self.proof) {
            (Some(id), Proof::Session(_)) => format!("user:{id}"),
            (_, Proof::Token(hash) | Proof::Session(hash)) => {
                format!("token:{}", token::hex(&hash))
            }
        }
    }

    fn in_role(self, roles: &[Role]) -> Result<Self, Problem> {
        if roles.contains(&self.role) {
            return Ok(self);
        }
        let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
        Err(Problem::new(Kind::Forbidden, format!("this is for: {}", words.join(", "))))
    }
}

impl FromRequestParts<ApiState> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        // Middleware and handler ask for the same request; the store is asked once.
        if let Some(user) = parts.extensions.get::<Self>() {
            return Ok(user.clone());
        }
        let user = if let Some(token) = bearer(&parts.headers) {
            by_token(state, token).await?
        } else if let Some(session) = cookie(&parts.headers) {
            check_page(parts, state, session)?;
            by_session(state, session).await?
        } else {
            return Err(Kind::NotSignedIn.into());
        };
        parts.extensions.insert(user.clone());
        Ok(user)
    }
}

/// The bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The session token of a request's cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// A cookie counts only under our own name, and for a change only with its CSRF token.
fn check_page(parts: &Parts, state: &ApiState, session: &str) -> Result<(), Problem> {
    check_host(parts, state)?;
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let given = parts.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
    if !given.is_some_and(|given| token::is_csrf(session, given)) {
        return Err(Kind::Csrf.into());
    }
    Ok(())
}

/// Refuses a page's request under a foreign name or from a foreign page.
pub(super) fn check_host(parts: &Parts, state: &ApiState) -> Result<(), Problem> {
    let authority = host::authority(&parts.headers, &parts.uri);
    if !authority.is_some_and(|name| host::is_ours(name, &state.options().hosts)) {
        return Err(Problem::new(Kind::ForeignHost, "add the name to the configured hosts"));
    }
    let is_change = !matches!(parts.method, Method::GET | Method::HEAD);
    if is_change && !host::is_same_origin(&parts.headers, &parts.uri) {
        return Err(Problem::new(Kind::Csrf, "the request comes from another site's page"));
    }
    Ok(())
}

pub(super) async fn by_session(state: &ApiState, session: &str) -> Result<User, Problem> {
    let hash = token::hash(session);
    let row = state.db().session(&hash, state.now()).await?.ok_or(Kind::NotSignedIn)?;
    Ok(User {
        id: Some(row.id),
        role: Role::from_word(&row.role).ok_or(Kind::Forbidden)?,
        agent: row.agent,
        must_set_password: row.password_hash.is_none(),
        name: row.name,
        proof: Proof::Session(hash),
    })
}

async fn by_token(state: &ApiState, token: &str) -> Result<User, Problem> {
    let hash = token::hash(token);
    let row = state.db().api_token(&hash).await?.ok_or(Kind::NotSignedIn)?;
    Ok(User {
        id: None,
        role: Role::from_word(&row.role).ok_or(Kind::Forbidden)?,
        agent: row.agent,
        must_set_password: false,
        name: row.name,
        proof: Proof::Token(hash),
    })
}

/// Whether the proof still holds: a long stream asks from time to time.
pub(super) async fn still_holds(state: &ApiState, proof: Proof) -> bool {
    match proof {
        Proof::Session(hash) => matches!(state.db().session(&hash, state.now()).await, Ok(Some(_))),
        Proof::Token(hash) => matches!(state.db().api_token(&hash).await, Ok(Some(_))),
    }
}

macro_rules! role_extractors {
    ($($(#[$doc:meta])* $name:ident: $($role:ident)|+;)+) => {$(
        $(#[$doc])*
        pub struct $name(pub User);

        impl FromRequestParts<ApiState> for $name {
            type Rejection = Problem;

            async fn from_request_parts(
                parts: &mut Parts,
                state: &ApiState,
            ) -> Result<Self, Problem> {
                let user = User::from_request_parts(parts, state).await?;
                user.in_role(&[$(Role::$role),+]).map(Self)
            }
        }
    )+};
}

role_extractors! {
    /// Users and tokens.
    Admin: Admin;
    /// Settings, reports, live calls.
    Manager: Admin | Manager;
    /// What a CRM's own program may do.
    Machine: Admin | Manager | Integration;
}

/// An agent at their own desk.
pub struct AtDesk {
    /// Who is signed in.
    pub user: User,
    /// Whose desk it is.
    pub agent: AgentId,
}

impl FromRequestParts<ApiState> for AtDesk {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let user = User::from_request_parts(parts, state).await?.in_role(&[Role::Agent])?;
        let agent = user
            .agent
            .ok_or_else(|| Problem::new(Kind::Forbidden, "this user is tied to no agent"))?;
        Ok(Self { user, agent })
    }
}

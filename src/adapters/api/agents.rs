//! Agents: who they are, where their phone is, whose calls they take, and how they get in.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::adapters::gate::Reload;
use crate::adapters::store::agents::AgentRow;
use crate::domain::agent::AgentSettings;
use crate::domain::ids::{AgentId, CampaignId};

use super::auth::{Manager, Role, User};
use super::campaigns::Versioned;
use super::error::{Kind, Problem, ProblemBody};
use super::extract::{Json, Path};
use super::routes::Routes;
use super::session::{checked_name, link_for};
use super::state::ApiState;
use super::tokens::{NewToken, add_token};

/// Longest SIP URI of a phone, bytes.
const PHONE_MAX: usize = 256;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/agents", agents)
        .post("/api/v1/agents", create_agent)
        .patch("/api/v1/agents/{id}", change_agent)
        .post("/api/v1/agents/{id}/token", agent_token)
        .post("/api/v1/agents/{id}/link", agent_link)
}

/// An agent. In a change every key may be left out; a new one needs `name` and `phone`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentPatch {
    /// The name that people see, and by which they sign in.
    pub name: Option<String>,
    /// The phone's SIP URI.
    #[schema(example = "sip:101@127.0.0.1:5080")]
    pub phone: Option<String>,
    /// Campaigns whose calls the agent takes, the first one first.
    pub campaigns: Option<Vec<i64>>,
    /// Of a new agent: also make a bearer token for a program that acts for them.
    pub with_token: bool,
}

/// An agent as managers see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AgentRecord {
    /// Their id.
    pub id: i64,
    /// Version of these settings.
    pub version: u32,
    /// The name that people see.
    pub name: String,
    /// The phone's SIP URI.
    pub phone: String,
    /// Campaigns whose calls they take.
    pub campaigns: Vec<i64>,
}

/// A new agent.
#[derive(Serialize, ToSchema)]
pub struct NewAgent {
    /// Their id.
    pub id: i64,
    /// A one-time link that signs them in, valid for a week.
    pub link: String,
    /// A bearer token, if one was asked for. Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A one-time link.
#[derive(Serialize, ToSchema)]
pub struct NewLink {
    /// Signs in whoever opens it first, valid for a week. Shown this once.
    pub link: String,
}

impl From<AgentRow> for AgentRecord {
    fn from(row: AgentRow) -> Self {
        Self {
            id: row.id.get(),
            version: row.version,
            name: row.settings.name,
            phone: row.settings.phone,
            campaigns: row.settings.campaigns.into_iter().map(CampaignId::get).collect(),
        }
    }
}

impl AgentPatch {
    fn apply(self, mut settings: AgentSettings) -> Result<AgentSettings, Problem> {
        if let Some(name) = self.name {
            name.trim().clone_into(&mut settings.name);
        }
        if let Some(phone) = self.phone {
            phone.trim().clone_into(&mut settings.phone);
        }
        if let Some(campaigns) = self.campaigns {
            settings.campaigns.clear();
            for id in campaigns.into_iter().map(CampaignId::new) {
                if !settings.campaigns.contains(&id) {
                    settings.campaigns.push(id);
                }
            }
        }
        checked_name(&settings.name)?;
        check_phone(&settings.phone)?;
        Ok(settings)
    }
}

/// A SIP URI with a host, and nothing that could break out of a request line.
fn check_phone(phone: &str) -> Result<(), Problem> {
    let rest = phone.strip_prefix("sip:").unwrap_or_default();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let clean = phone.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"'));
    if host.is_empty() || !clean || phone.len() > PHONE_MAX {
        return Err(Problem::invalid("phone: a SIP URI such as sip:101@192.0.2.7:5060"));
    }
    Ok(())
}

async fn check_campaigns(state: &ApiState, settings: &AgentSettings) -> Result<(), Problem> {
    let known = state.db().campaigns().await?;
    let unknown = settings.campaigns.iter().find(|id| !known.iter().any(|row| row.id == **id));
    match unknown {
        Some(id) => Err(Problem::invalid(format!("campaigns: there is no campaign {id}"))),
        None => Ok(()),
    }
}

/// All agents.
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents",
    responses((status = 200, body = [AgentRecord])))]
pub async fn agents(
    State(state): State<ApiState>,
    _: Manager,
) -> Result<Json<Vec<AgentRecord>>, Problem> {
    let rows = state.db().agents().await?;
    Ok(Json(rows.into_iter().map(AgentRecord::from).collect()))
}

/// Makes an agent, their user and the one-time link that lets them in.
#[utoipa::path(post, path = "/api/v1/agents", tag = "agents", request_body = AgentPatch,
    responses((status = 201, body = NewAgent), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
pub async fn create_agent(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Json(body): Json<AgentPatch>,
) -> Result<(StatusCode, Json<NewAgent>), Problem> {
    let with_token = body.with_token;
    let empty = AgentSettings { name: String::new(), phone: String::new(), campaigns: Vec::new() };
    let settings = body.apply(empty)?;
    check_campaigns(&state, &settings).await?;
    if state.db().user_by_name(&settings.name).await?.is_some() {
        return Err(Problem::new(Kind::Conflict, "another user has this name"));
    }
    let now = state.now();
    let id = state.db().create_agent(&settings, &user.by(), now).await?;
    let role = Role::Agent.word();
    let account = state.db().create_user(&settings.name, role, Some(id), now).await?;
    let link = link_for(state.db(), &state.options().base_url, account, now).await?;
    let mut token = None;
    if with_token {
        token = Some(add_token(&state, &settings.name, Role::Agent, Some(id)).await?);
    }
    state.reload(Reload::Agent(id)).await?;
    let agent = NewAgent { id: id.get(), link, token };
    Ok((StatusCode::CREATED, Json(agent)))
}

async fn expect(state: &ApiState, id: i64) -> Result<AgentRow, Problem> {
    let row = state.db().agent(AgentId::new(id)).await?;
    row.ok_or_else(|| Problem::not_found("such agent"))
}

/// Changes what the body names.
#[utoipa::path(patch, path = "/api/v1/agents/{id}", tag = "agents", request_body = AgentPatch,
    params(("id" = i64, Path, description = "The agent")),
    responses((status = 200, body = Versioned), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
pub async fn change_agent(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
    Json(body): Json<AgentPatch>,
) -> Result<Json<Versioned>, Problem> {
    let row = expect(&state, id).await?;
    let settings = body.apply(row.settings.clone())?;
    check_campaigns(&state, &settings).await?;
    let mut version = row.version;
    if settings != row.settings {
        version = state.db().set_agent_settings(row.id, &settings, &user.by(), state.now()).await?;
    }
    state.reload(Reload::Agent(row.id)).await?;
    Ok(Json(Versioned { id, version }))
}

/// A bearer token for a program that acts for the agent.
#[utoipa::path(post, path = "/api/v1/agents/{id}/token", tag = "agents",
    params(("id" = i64, Path, description = "The agent")),
    responses((status = 201, body = NewToken), (status = 404, body = ProblemBody)))]
pub async fn agent_token(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    let row = expect(&state, id).await?;
    let token = add_token(&state, &row.settings.name, Role::Agent, Some(row.id)).await?;
    state.audit(&user, "agent.token", json!({ "id": id })).await?;
    Ok((StatusCode::CREATED, Json(NewToken { token })))
}

/// A new one-time link for an agent who cannot get in.
#[utoipa::path(post, path = "/api/v1/agents/{id}/link", tag = "agents",
    params(("id" = i64, Path, description = "The agent")),
    responses((status = 201, body = NewLink), (status = 404, body = ProblemBody)))]
pub async fn agent_link(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<NewLink>), Problem> {
    let row = expect(&state, id).await?;
    let users = state.db().users().await?;
    let account = if let Some(user) = users.iter().find(|user| user.agent == Some(row.id)) {
        user.id
    } else {
        let role = Role::Agent.word();
        state.db().create_user(&row.settings.name, role, Some(row.id), state.now()).await?
    };
    let link = link_for(state.db(), &state.options().base_url, account, state.now()).await?;
    audit_link(&state, &user, id).await?;
    Ok((StatusCode::CREATED, Json(NewLink { link })))
}

async fn audit_link(state: &ApiState, user: &User, id: i64) -> Result<(), Problem> {
    state.audit(user, "agent.link", json!({ "id": id })).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_a_sip_uri_on_one_line() {
        for good in ["sip:101@127.0.0.1:5080", "sip:agent-7@phones.example", "sip:[::1]:5060"] {
            check_phone(good).unwrap();
        }
        let long = format!("sip:{}@h", "1".repeat(300));
        for bad in
            ["", "101", "sip:", "sip:101@", "tel:+123", "sip:1@h\r\nX: y", "<sip:1@h>", &long]
        {
            assert!(check_phone(bad).is_err(), "{bad}");
        }
    }
}

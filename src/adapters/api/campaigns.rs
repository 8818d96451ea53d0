//! Campaigns: settings, state, lists and agents; their live board and last hour.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::adapters::gate::Reload;
use crate::adapters::store::agents::AgentRow;
use crate::adapters::store::campaigns::CampaignRow;
use crate::adapters::views::{BoardView, ContactCounts};
use crate::domain::campaign::{CampaignSettings, CampaignState, Mode};
use crate::domain::ids::{CampaignId, ListId};

use super::auth::{Machine, Manager, User};
use super::campaign_settings::CampaignPatch;
use super::error::{Kind, Problem, ProblemBody};
use super::extract::{Json, Path};
use super::history::HistoryPoint;
use super::routes::Routes;
use super::schemas;
use super::state::ApiState;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/campaigns", campaigns)
        .post("/api/v1/campaigns", create_campaign)
        .get("/api/v1/campaigns/{id}", campaign)
        .patch("/api/v1/campaigns/{id}", change_campaign)
        .post("/api/v1/campaigns/{id}/start", start)
        .post("/api/v1/campaigns/{id}/pause", pause)
        .post("/api/v1/campaigns/{id}/stop", stop)
        .put("/api/v1/campaigns/{id}/lists", set_lists)
        .get("/api/v1/campaigns/{id}/board", board)
        .get("/api/v1/campaigns/{id}/history", history)
}

/// A campaign in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CampaignSummary {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it dials.
    #[schema(value_type = schemas::CampaignState)]
    pub state: CampaignState,
    /// How calls are matched to agents.
    #[schema(value_type = schemas::Mode)]
    pub mode: Mode,
    /// Version of its settings.
    pub version: u32,
    /// The lists it dials.
    pub lists: Vec<i64>,
    /// The agents who take its calls.
    pub agents: Vec<i64>,
    /// Its contacts by what became of them.
    pub contacts: ContactCounts,
}

/// A campaign, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CampaignView {
    /// Its id.
    pub id: i64,
    /// Version of its settings.
    pub version: u32,
    /// Whether it dials.
    #[schema(value_type = schemas::CampaignState)]
    pub state: CampaignState,
    /// What a manager set.
    #[schema(value_type = CampaignPatch)]
    pub settings: CampaignSettings,
    /// The lists it dials.
    pub lists: Vec<i64>,
    /// The agents who take its calls.
    pub agents: Vec<i64>,
}

/// What was made or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Versioned {
    /// Its id.
    pub id: i64,
    /// The version of its settings from here on.
    pub version: u32,
}

/// The state of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StateView {
    /// Whether it dials.
    #[schema(value_type = schemas::CampaignState)]
    pub state: CampaignState,
}

/// All campaigns in a line each.
pub(super) async fn summaries(state: &ApiState) -> Result<Vec<CampaignSummary>, Problem> {
    let agents = state.db().agents().await?;
    let mut summaries = Vec::new();
    for row in state.db().campaigns().await? {
        let lists = state.db().campaign_lists(row.id).await?;
        let contacts = state.db().contact_counts(row.id).await?;
        summaries.push(CampaignSummary {
            id: row.id.get(),
            name: row.settings.name,
            state: row.state,
            mode: row.settings.mode,
            version: row.version,
            lists: lists.into_iter().map(ListId::get).collect(),
            agents: agents_of(row.id, &agents),
            contacts,
        });
    }
    Ok(summaries)
}

fn agents_of(campaign: CampaignId, agents: &[AgentRow]) -> Vec<i64> {
    let takes = agents.iter().filter(|agent| agent.settings.campaigns.contains(&campaign));
    takes.map(|agent| agent.id.get()).collect()
}

/// The campaign, or the refusal that there is none.
pub(super) async fn expect(state: &ApiState, id: CampaignId) -> Result<CampaignRow, Problem> {
    state.db().campaign(id).await?.ok_or_else(|| Problem::not_found("such campaign"))
}

/// All campaigns.
#[utoipa::path(get, path = "/api/v1/campaigns", tag = "campaigns",
    responses((status = 200, body = [CampaignSummary])))]
pub async fn campaigns(
    State(state): State<ApiState>,
    _: Machine,
) -> Result<Json<Vec<CampaignSummary>>, Problem> {
    summaries(&state).await.map(Json)
}

/// Makes a campaign; it does not dial before it is started.
#[utoipa::path(post, path = "/api/v1/campaigns", tag = "campaigns", request_body = CampaignPatch,
    params(("Idempotency-Key" = Option<String>, Header, description = "Same key, same answer")),
    responses((status = 201, body = Versioned), (status = 422, body = ProblemBody)))]
pub async fn create_campaign(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Json(mut body): Json<CampaignPatch>,
) -> Result<(StatusCode, Json<Versioned>), Problem> {
    let (lists, agents) = (body.lists.take(), body.agents.take());
    let today = state.now().to_chrono().date_naive();
    let settings = body.create(today)?;
    check_trunk(&state, &settings).await?;
    check_members(&state, lists.as_deref(), agents.as_deref()).await?;
    let id = state.db().create_campaign(&settings, &user.by(), state.now()).await?;
    set_members(&state, &user, id, lists, agents).await?;
    state.reload(Reload::Campaign(id)).await?;
    Ok((StatusCode::CREATED, Json(Versioned { id: id.get(), version: 1 })))
}

async fn check_trunk(state: &ApiState, settings: &CampaignSettings) -> Result<(), Problem> {
    match state.db().trunk(settings.trunk).await? {
        Some(_) => Ok(()),
        None => Err(Problem::invalid("trunk: there is no such trunk")),
    }
}

/// Whether all lists and agents that a request names exist, before anything is changed.
async fn check_members(
    state: &ApiState,
    lists: Option<&[i64]>,
    agents: Option<&[i64]>,
) -> Result<(), Problem> {
    if let Some(wanted) = lists {
        let known = state.db().lists().await?;
        let is_ready = |id: &i64| known.iter().any(|row| row.id == *id && row.state == "ready");
        if let Some(id) = wanted.iter().find(|id| !is_ready(id)) {
            return Err(Problem::invalid(format!("lists: there is no list {id} to be dialled")));
        }
    }
    if let Some(wanted) = agents {
        let known = state.db().agents().await?;
        let exists = |id: &i64| known.iter().any(|row| row.id.get() == *id);
        if let Some(id) = wanted.iter().find(|id| !exists(id)) {
            return Err(Problem::invalid(format!("agents: there is no agent {id}")));
        }
    }
    Ok(())
}

/// Gives a campaign the lists and agents that a request names.
async fn set_members(
    state: &ApiState,
    user: &User,
    id: CampaignId,
    lists: Option<Vec<i64>>,
    agents: Option<Vec<i64>>,
) -> Result<(), Problem> {
    if let Some(lists) = lists {
        let lists: Vec<_> = lists.into_iter().map(ListId::new).collect();
        state.db().set_campaign_lists(id, &lists, &user.by(), state.now()).await?;
    }
    let Some(wanted) = agents else { return Ok(()) };
    let wanted: BTreeSet<_> = wanted.into_iter().collect();
    for row in state.db().agents().await? {
        let mut settings = row.settings;
        let takes = settings.campaigns.contains(&id);
        if takes == wanted.contains(&row.id.get()) {
            continue;
        }
        if takes {
            settings.campaigns.retain(|campaign| *campaign != id);
        } else {
            settings.campaigns.push(id);
        }
        state.db().set_agent_settings(row.id, &settings, &user.by(), state.now()).await?;
        state.reload(Reload::Agent(row.id)).await?;
    }
    Ok(())
}

/// A campaign, whole.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = i64, Path, description = "The campaign")),
    responses((status = 200, body = CampaignView), (status = 404, body = ProblemBody)))]
pub async fn campaign(
    State(state): State<ApiState>,
    _: Machine,
    Path(id): Path<i64>,
) -> Result<Json<CampaignView>, Problem> {
    let row = expect(&state, CampaignId::new(id)).await?;
    let lists = state.db().campaign_lists(row.id).await?;
    let agents = state.db().agents().await?;
    Ok(Json(CampaignView {
        id,
        version: row.version,
        state: row.state,
        settings: row.settings,
        lists: lists.into_iter().map(ListId::get).collect(),
        agents: agents_of(row.id, &agents),
    }))
}

/// Changes what the body names; the settings get a new version.
#[utoipa::path(patch, path = "/api/v1/campaigns/{id}", tag = "campaigns",
    request_body = CampaignPatch, params(("id" = i64, Path, description = "The campaign")),
    responses((status = 200, body = Versioned), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
pub async fn change_campaign(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
    Json(mut body): Json<CampaignPatch>,
) -> Result<Json<Versioned>, Problem> {
    let row = expect(&state, CampaignId::new(id)).await?;
    let (lists, agents) = (body.lists.take(), body.agents.take());
    let settings = body.apply(row.settings.clone())?;
    check_trunk(&state, &settings).await?;
    check_members(&state, lists.as_deref(), agents.as_deref()).await?;
    let mut version = row.version;
    if settings != row.settings {
        version =
            state.db().set_campaign_settings(row.id, &settings, &user.by(), state.now()).await?;
    }
    set_members(&state, &user, row.id, lists, agents).await?;
    state.reload(Reload::Campaign(row.id)).await?;
    if settings.calling_hours != row.settings.calling_hours {
        state.db().hours_changed(row.id, state.now()).await?;
    }
    Ok(Json(Versioned { id, version }))
}

macro_rules! moves {
    ($($(#[$doc:meta])* $name:ident, $path:literal, $to:ident;)+) => {$(
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "campaigns",
            params(("id" = i64, Path, description = "The campaign"),
                ("Idempotency-Key" = Option<String>, Header, description = "Taken by start")),
            responses((status = 200, body = StateView), (status = 404, body = ProblemBody),
                (status = 409, body = ProblemBody)))]
        pub async fn $name(
            State(state): State<ApiState>,
            Manager(user): Manager,
            Path(id): Path<i64>,
        ) -> Result<Json<StateView>, Problem> {
            move_to(&state, &user, CampaignId::new(id), CampaignState::$to).await
        }
    )+};
}

moves! {
    /// Begins to dial, or goes on.
    start, "/api/v1/campaigns/{id}/start", Running;
    /// No new calls; what is in the air goes on.
    pause, "/api/v1/campaigns/{id}/pause", Paused;
    /// Ends it; calls that were not answered yet are cancelled.
    stop, "/api/v1/campaigns/{id}/stop", Stopped;
}

async fn move_to(
    state: &ApiState,
    user: &User,
    id: CampaignId,
    to: CampaignState,
) -> Result<Json<StateView>, Problem> {
    use CampaignState as S;
    let from = expect(state, id).await?.state;
    let possible = match (from, to) {
        (_, S::Running | S::Stopped) | (S::Running | S::Paused, S::Paused) => true,
        (S::Created | S::Stopped | S::Finished, S::Paused) | (_, S::Created | S::Finished) => false,
    };
    if !possible {
        return Err(Problem::new(Kind::Conflict, "only a running campaign can be paused"));
    }
    if from != to {
        state.db().set_campaign_state(id, to, &user.by(), state.now()).await?;
    }
    state.reload(Reload::Campaign(id)).await?;
    Ok(Json(StateView { state: to }))
}

/// Makes these the lists of a campaign.
#[utoipa::path(put, path = "/api/v1/campaigns/{id}/lists", tag = "campaigns",
    request_body = Vec<i64>, params(("id" = i64, Path, description = "The campaign")),
    responses((status = 200, body = [i64]), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
pub async fn set_lists(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
    Json(lists): Json<Vec<i64>>,
) -> Result<Json<Vec<i64>>, Problem> {
    let id = expect(&state, CampaignId::new(id)).await?.id;
    check_members(&state, Some(&lists), None).await?;
    set_members(&state, &user, id, Some(lists), None).await?;
    state.reload(Reload::Campaign(id)).await?;
    let lists = state.db().campaign_lists(id).await?;
    Ok(Json(lists.into_iter().map(ListId::get).collect()))
}

/// The live board of a campaign.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}/board", tag = "campaigns",
    params(("id" = i64, Path, description = "The campaign")),
    responses((status = 200, body = BoardView), (status = 404, body = ProblemBody)))]
pub async fn board(
    State(state): State<ApiState>,
    _: Manager,
    Path(id): Path<i64>,
) -> Result<Json<BoardView>, Problem> {
    let live = state.gate().live().borrow().boards.get(&id).cloned();
    if let Some(board) = live {
        return Ok(Json(BoardView::clone(&board)));
    }
    // The driver has not published it yet: what the store knows.
    let row = expect(&state, CampaignId::new(id)).await?;
    let word = json!(row.state).as_str().unwrap_or_default().to_owned();
    Ok(Json(BoardView {
        campaign: id,
        name: row.settings.name,
        state: word,
        mode: row.settings.mode.word().to_owned(),
        at_ms: state.now().as_ms(),
        contacts: state.db().contact_counts(row.id).await?,
        ..BoardView::default()
    }))
}

/// The last hour of a campaign, a point a second.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}/history", tag = "campaigns",
    params(("id" = i64, Path, description = "The campaign")),
    responses((status = 200, body = [HistoryPoint]), (status = 404, body = ProblemBody)))]
pub async fn history(
    State(state): State<ApiState>,
    _: Manager,
    Path(id): Path<i64>,
) -> Result<Json<Vec<HistoryPoint>>, Problem> {
    expect(&state, CampaignId::new(id)).await?;
    Ok(Json(state.history().of(id)))
}

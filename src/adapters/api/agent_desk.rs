//! The agent's own desk: what they see, and what they ask of the dialer.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::adapters::views::{AgentView, CallView};
use crate::domain::disposition::NextAction;
use crate::domain::ids::AttemptId;
use crate::domain::time::{Duration, Utc};
use crate::engine::input::AgentCommand;

use super::auth::AtDesk;
use super::error::{Kind, Problem, ProblemBody};
use super::extract::Json;
use super::routes::Routes;
use super::state::ApiState;

/// A callback further away than this is a slip of the hand.
const CALLBACK_MAX: Duration = Duration::from_hours(366 * 24);
/// Longest note, characters.
const NOTE_MAX: usize = 4_000;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/agent", desk)
        .post("/api/v1/agent/login", login)
        .post("/api/v1/agent/logout", logout)
        .post("/api/v1/agent/pause", pause)
        .post("/api/v1/agent/ready", ready)
        .post("/api/v1/agent/preview/accept", accept)
        .post("/api/v1/agent/preview/skip", skip)
        .post("/api/v1/agent/hangup", hang_up)
        .post("/api/v1/agent/disposition", dispose)
}

/// The answer to a command: what follows comes as an event.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {}

type Answer = Result<(StatusCode, Json<Accepted>), Problem>;

/// The agent's page, whole.
#[utoipa::path(get, path = "/api/v1/agent", tag = "agent desk",
    responses((status = 200, body = AgentView)))]
pub async fn desk(State(state): State<ApiState>, at: AtDesk) -> Result<Json<AgentView>, Problem> {
    view_of(&state, &at).await.map(Json)
}

/// The live view of an agent, or that of one whom the driver has not published yet.
pub(super) async fn view_of(state: &ApiState, at: &AtDesk) -> Result<AgentView, Problem> {
    let live = state.gate().live().borrow().agents.get(&at.agent.get()).cloned();
    if let Some(view) = live {
        return Ok(AgentView::clone(&view));
    }
    let row = state.db().agent(at.agent).await?.ok_or_else(|| Problem::not_found("such agent"))?;
    Ok(AgentView {
        agent: at.agent.get(),
        name: row.settings.name,
        state: String::from("logged_out"),
        since_ms: state.started().as_ms(),
        ..AgentView::default()
    })
}

async fn command(state: &ApiState, at: &AtDesk, command: AgentCommand) -> Answer {
    state.gate().agent(at.agent, command).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted {})))
}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident, $path:literal, $command:expr;)+) => {$(
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "agent desk",
            responses((status = 202, body = Accepted), (status = 409, body = ProblemBody)))]
        pub async fn $name(State(state): State<ApiState>, at: AtDesk) -> Answer {
            command(&state, &at, $command).await
        }
    )+};
}

commands! {
    /// Begins work: the agent's phone is called.
    login, "/api/v1/agent/login", AgentCommand::LogIn;
    /// Ends work at the first moment that costs nothing.
    logout, "/api/v1/agent/logout", AgentCommand::LogOut;
    /// A break at the first moment that costs nothing.
    pause, "/api/v1/agent/pause", AgentCommand::Pause;
    /// Takes calls.
    ready, "/api/v1/agent/ready", AgentCommand::Ready;
    /// Dials the previewed record.
    accept, "/api/v1/agent/preview/accept", AgentCommand::AcceptPreview;
    /// Hangs up on the customer.
    hang_up, "/api/v1/agent/hangup", AgentCommand::HangUp;
}

/// What becomes of a record that is not dialled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// Never this record in this campaign.
    #[serde(default)]
    pub close: bool,
}

/// Passes the previewed record over.
#[utoipa::path(post, path = "/api/v1/agent/preview/skip", tag = "agent desk", request_body = Skip,
    responses((status = 202, body = Accepted), (status = 409, body = ProblemBody)))]
pub async fn skip(State(state): State<ApiState>, at: AtDesk, Json(body): Json<Skip>) -> Answer {
    command(&state, &at, AgentCommand::SkipPreview { close: body.close }).await
}

/// What an agent says of a call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Disposition {
    /// Which call.
    #[schema(value_type = String, format = "uuid")]
    pub attempt: Uuid,
    /// One of the campaign's codes.
    pub code: String,
    /// What follows; left out, what the campaign says for this code.
    pub next: Option<Next>,
    /// For the people who read about it later.
    pub note: Option<String>,
}

/// What follows a disposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Next {
    /// Nothing more with this contact in this campaign.
    Close,
    /// Try again as the campaign's rules say.
    Retry,
    /// A call promised to the person.
    Callback {
        /// When, UTC milliseconds.
        at: i64,
    },
    /// Never call this number again.
    DoNotCall,
}

/// Says what a call meant; ends the wrap-up.
#[utoipa::path(post, path = "/api/v1/agent/disposition", tag = "agent desk",
    request_body = Disposition,
    params(("Idempotency-Key" = Option<String>, Header, description = "Same key, same answer")),
    responses((status = 202, body = Accepted), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
pub async fn dispose(
    State(state): State<ApiState>,
    at: AtDesk,
    Json(body): Json<Disposition>,
) -> Answer {
    let view = view_of(&state, &at).await?;
    let call =
        view.call.filter(|call| call.attempt == body.attempt.to_string()).ok_or(Kind::NotYours)?;
    let next = next_action(&call, &body, state.now())?;
    if let Some(note) = &body.note
        && note.chars().count() > NOTE_MAX
    {
        return Err(Problem::invalid(format!("a note has at most {NOTE_MAX} characters")));
    }
    let attempt = AttemptId::from_uuid(body.attempt);
    let answer =
        command(&state, &at, AgentCommand::Dispose { attempt, code: body.code, next }).await?;
    if let Some(note) = body.note.filter(|note| !note.trim().is_empty()) {
        let detail = json!({ "attempt": attempt, "note": note });
        state.audit(&at.user, "attempt.note", detail).await?;
    }
    Ok(answer)
}

/// What the agent chose, or what the campaign says for the code.
fn next_action(call: &CallView, body: &Disposition, now: Utc) -> Result<NextAction, Problem> {
    let choice = call.card.dispositions.iter().find(|choice| choice.code == body.code);
    let choice =
        choice.ok_or_else(|| Problem::invalid("code: not one of the campaign's dispositions"))?;
    match (body.next, choice.next.as_str()) {
        (Some(Next::Close), _) | (None, "close") => Ok(NextAction::Close),
        (Some(Next::Retry), _) | (None, "retry") => Ok(NextAction::Retry),
        (Some(Next::DoNotCall), _) | (None, "do_not_call") => Ok(NextAction::DoNotCall),
        (Some(Next::Callback { at }), _) => {
            let at = Utc::from_ms(at);
            if at <= now || at > now + CALLBACK_MAX {
                return Err(Problem::invalid("next.at: a time to come, within a year"));
            }
            Ok(NextAction::Callback { at })
        }
        (None, _) => Err(Problem::invalid("next: this code needs a time for the callback")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::views::{CardView, DispositionView};

    fn call() -> CallView {
        let choice = |code: &str, next: &str| DispositionView {
            code: code.into(),
            label: code.into(),
            next: next.into(),
        };
        let dispositions = vec![
            choice("sale", "close"),
            choice("later", "callback"),
            choice("stop", "do_not_call"),
        ];
        CallView { card: CardView { dispositions, ..CardView::default() }, ..CallView::default() }
    }

    fn body(code: &str, next: Option<Next>) -> Disposition {
        Disposition { attempt: Uuid::nil(), code: code.into(), next, note: None }
    }

    const NOW: Utc = Utc::from_ms(1_000_000);

    #[test]
    fn a_code_without_a_next_does_what_the_campaign_says() {
        let of = |code| next_action(&call(), &body(code, None), NOW);
        assert_eq!(of("sale"), Ok(NextAction::Close));
        assert_eq!(of("stop"), Ok(NextAction::DoNotCall));
        assert_eq!(of("later").unwrap_err().kind, Kind::Invalid);
        assert_eq!(of("unheard_of").unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn a_callback_lies_in_the_future_and_not_beyond_a_year() {
        let of = |at| next_action(&call(), &body("later", Some(Next::Callback { at })), NOW);
        assert_eq!(of(1_000_001), Ok(NextAction::Callback { at: Utc::from_ms(1_000_001) }));
        assert!(of(1_000_000).is_err());
        assert!(of(1_000_000 + 400 * 86_400_000).is_err());
    }
}

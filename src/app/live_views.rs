//! The live views of pages: what the engine shows, with names put in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::Book;
use crate::adapters::gate::Live;
use crate::adapters::views::{
    AbandonView, AgentRowView, AgentView, BoardView, CallView, CardView, ContactCounts,
    LiveCallView,
};
use crate::domain::abandon::{ClockStart, Formula};
use crate::domain::agent::{AgentRefusal, AgentState};
use crate::domain::attempt::IntentRefusal as R;
use crate::domain::campaign::CampaignState;
use crate::domain::ids::{AgentId, AttemptId, CampaignId};
use crate::domain::time::{Now, Utc};
use crate::engine::board::Board;
use crate::engine::output::AgentNews;

/// Answer times kept for the percentiles of a campaign.
const ANSWER_TIMES_MAX: usize = 20_000;

/// What the store counts of a campaign, read about once a second.
#[derive(Debug, Clone, Default)]
pub struct StoreCounts {
    /// Contacts by what became of them.
    pub contacts: ContactCounts,
    /// Attempts by result code.
    pub results: Vec<(String, u64)>,
}

/// Views as they were last published.
#[derive(Debug, Default)]
pub struct LiveViews {
    agents: BTreeMap<AgentId, AgentView>,
    published: Live,
    /// Answer to agent in microseconds, sorted, by campaign.
    answer_times: BTreeMap<CampaignId, Vec<u64>>,
    counts: BTreeMap<CampaignId, StoreCounts>,
    /// Masked numbers of live calls.
    numbers: BTreeMap<AttemptId, String>,
}

impl LiveViews {
    /// A call went out to this number.
    pub fn call_began(&mut self, attempt: AttemptId, masked: String) {
        self.numbers.insert(attempt, masked);
    }

    /// It is over.
    pub fn call_ended(&mut self, attempt: AttemptId) {
        self.numbers.remove(&attempt);
    }

    /// A person was put through after so many microseconds.
    pub fn answer_to_agent(&mut self, campaign: CampaignId, micros: u64) {
        let times = self.answer_times.entry(campaign).or_default();
        if times.len() < ANSWER_TIMES_MAX {
            let at = times.partition_point(|time| *time < micros);
            times.insert(at, micros);
        }
    }

    /// What the store counted.
    pub fn counted(&mut self, campaign: CampaignId, counts: StoreCounts) {
        self.counts.insert(campaign, counts);
    }

    /// Something new on an agent's page; `card` comes with `Preview` and `Connected`.
    pub fn agent_news(
        &mut self,
        agent: AgentId,
        name: &str,
        news: &AgentNews,
        card: Option<CardView>,
        now: Utc,
    ) {
        let view = self.agents.entry(agent).or_insert_with(|| AgentView {
            agent: agent.get(),
            state: state_word(AgentState::LoggedOut).to_owned(),
            since_ms: now.as_ms(),
            ..AgentView::default()
        });
        name.clone_into(&mut view.name);
        view.version += 1;
        view.refused = None;
        match news {
            AgentNews::State { state, since, leaving, until } => {
                state_word(*state).clone_into(&mut view.state);
                view.since_ms = since.as_ms();
                view.leaving = *leaving;
                view.until_ms = until.map(Utc::as_ms);
                match state {
                    AgentState::Preview | AgentState::Dialling => {}
                    AgentState::OnCall => view.preview = None,
                    AgentState::WrapUp => view.preview = None,
                    AgentState::LoggedOut
                    | AgentState::Connecting
                    | AgentState::Paused
                    | AgentState::Ready => {
                        view.preview = None;
                        view.call = None;
                    }
                }
            }
            AgentNews::Preview { until, .. } => {
                let until_ms = until.map(Utc::as_ms);
                view.preview = card.map(|card| CardView { until_ms, ..card });
            }
            AgentNews::Connected(key) => {
                view.call = Some(CallView {
                    attempt: key.attempt.to_string(),
                    state: "talking".to_owned(),
                    answered_ms: now.as_ms(),
                    connected_ms: now.as_ms(),
                    card: card.unwrap_or_default(),
                });
            }
            AgentNews::CallEnded(attempt) => {
                let ended = attempt.to_string();
                if let Some(call) = view.call.as_mut().filter(|call| call.attempt == ended) {
                    "ended".clone_into(&mut call.state);
                }
            }
            AgentNews::Refused(why) => view.refused = Some(refusal_key(*why).to_owned()),
        }
        self.published.agents.insert(agent.get(), Arc::new(view.clone()));
    }

    /// An agent's page as it stands, made if there is none yet.
    pub fn ensure_agent(&mut self, agent: AgentId, name: &str, now: Utc) {
        if let Some(view) = self.agents.get_mut(&agent) {
            if view.name == name {
                return;
            }
            name.clone_into(&mut view.name);
            view.version += 1;
            self.published.agents.insert(agent.get(), Arc::new(view.clone()));
            return;
        }
        let view = AgentView {
            agent: agent.get(),
            name: name.to_owned(),
            state: state_word(AgentState::LoggedOut).to_owned(),
            since_ms: now.as_ms(),
            ..AgentView::default()
        };
        self.published.agents.insert(agent.get(), Arc::new(view.clone()));
        self.agents.insert(agent, view);
    }

    /// A campaign's board.
    pub fn board(&mut self, board: &Board, book: &Book, now: Now) {
        let view = self.board_view(board, book, now);
        self.published.boards.insert(board.campaign.get(), Arc::new(view));
    }

    /// The program was asked to stop.
    pub fn draining(&mut self) {
        self.published.draining = true;
    }

    /// What pages read from now on.
    pub fn publish(&self) -> Arc<Live> {
        Arc::new(self.published.clone())
    }

    fn board_view(&self, board: &Board, book: &Book, now: Now) -> BoardView {
        let counts = self.counts.get(&board.campaign).cloned().unwrap_or_default();
        let stage = |wanted: &[&str]| {
            let n = board.calls.iter().filter(|call| wanted.contains(&call.stage)).count();
            u32::try_from(n).unwrap_or(u32::MAX)
        };
        let name = book.campaign(board.campaign).map(|row| row.settings.name.clone());
        BoardView {
            campaign: board.campaign.get(),
            name: name.unwrap_or_default(),
            state: campaign_word(board.state).to_owned(),
            mode: board.mode.word().to_owned(),
            at_ms: now.utc.as_ms(),
            contacts: counts.contacts,
            ringing: stage(&["intending", "dialling", "ringing"]),
            waiting: stage(&["listening", "waiting"]),
            talking: stage(&["talking"]),
            attempts: counts.results.iter().map(|(_, n)| n).sum(),
            results: counts.results,
            refused: board
                .refused
                .iter()
                .map(|(why, n)| (refusal_word(*why).to_owned(), *n))
                .collect(),
            abandon: abandon_view(board),
            answer_to_agent_ms: self.answer_times.get(&board.campaign).and_then(|times| {
                Some((milliseconds(*percentile(times, 50)?), milliseconds(*percentile(times, 99)?)))
            }),
            utilisation: utilisation(board),
            pacing: board.pacing.word().to_owned(),
            calls: board.calls.iter().map(|call| self.call_view(call)).collect(),
            agents: board
                .agents
                .iter()
                .map(|agent| AgentRowView {
                    agent: agent.agent.get(),
                    name: book
                        .agent(agent.agent)
                        .map(|row| row.settings.name.clone())
                        .unwrap_or_default(),
                    state: state_word(agent.state).to_owned(),
                    since_ms: agent.since.as_ms(),
                    calls: agent.calls,
                    leaving: agent.leaving,
                })
                .collect(),
        }
    }

    fn call_view(&self, call: &crate::engine::board::BoardCall) -> LiveCallView {
        LiveCallView {
            attempt: call.attempt.to_string(),
            state: call.stage.to_owned(),
            since_ms: call.since.as_ms(),
            number: self.numbers.get(&call.attempt).cloned().unwrap_or_default(),
            agent: call.agent.map(AgentId::get),
        }
    }
}

/// The value below which `percent` of the sorted values lie.
pub fn percentile<T>(sorted: &[T], percent: usize) -> Option<&T> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * percent).div_ceil(100))
}

fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

fn utilisation(board: &Board) -> f64 {
    let busy: u64 = board.agents.iter().map(|agent| agent.busy_us).sum();
    let present: u64 = board.agents.iter().map(|agent| agent.present_us).sum();
    if present == 0 { 0.0 } else { busy as f64 / present as f64 }
}

fn abandon_view(board: &Board) -> AbandonView {
    let limit = &board.limit;
    let (abandoned, answered) = board.counted.tally.fraction(limit.formula);
    AbandonView {
        abandoned,
        answered,
        rate_ppm: board.counted.tally.rate_ppm(limit.formula),
        limit_ppm: limit.limit_ppm,
        formula: match limit.formula {
            Formula::LiveAnswers => "live_answers",
            Formula::AbandonedPlusConnected => "abandoned_plus_connected",
        }
        .to_owned(),
        clock_start: match limit.clock_start {
            ClockStart::Answer => "answer",
        }
        .to_owned(),
        wait_ms: limit.wait_ms,
        window_start_ms: board.window.start.as_ms(),
        window_end_ms: board.window.end.as_ms(),
        zone: limit.zone.name().to_owned(),
        outside: board.counted.outside,
    }
}

/// A state's word in the API.
pub const fn state_word(state: AgentState) -> &'static str {
    match state {
        AgentState::LoggedOut => "logged_out",
        AgentState::Connecting => "connecting",
        AgentState::Paused => "paused",
        AgentState::Ready => "ready",
        AgentState::Preview => "preview",
        AgentState::Dialling => "dialling",
        AgentState::OnCall => "on_call",
        AgentState::WrapUp => "wrap_up",
    }
}

const fn campaign_word(state: CampaignState) -> &'static str {
    match state {
        CampaignState::Created => "created",
        CampaignState::Running => "running",
        CampaignState::Paused => "paused",
        CampaignState::Stopped => "stopped",
        CampaignState::Finished => "finished",
    }
}

const fn refusal_key(why: AgentRefusal) -> &'static str {
    match why {
        AgentRefusal::Unknown => "agent.refused.unknown",
        AgentRefusal::WrongState => "agent.refused.wrong_state",
        AgentRefusal::NotYours => "agent.refused.not_yours",
        AgentRefusal::Draining => "agent.refused.draining",
    }
}

const fn refusal_word(why: R) -> &'static str {
    match why {
        R::NotReady => "not_ready",
        R::DoNotCall => "do_not_call",
        R::NumberGap => "number_gap",
        R::LeaseLost => "lease_lost",
        R::NumberNotAllowed => "number_not_allowed",
        R::StoreFailed => "store_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        assert_eq!(percentile::<u64>(&[], 50), None);
        assert_eq!(percentile(&[7], 99), Some(&7));
        let hundred: Vec<u64> = (0..=100).collect();
        assert_eq!(percentile(&hundred, 50), Some(&50));
        assert_eq!(percentile(&hundred, 99), Some(&99));
    }

    #[test]
    fn a_call_stays_on_the_page_through_wrap_up_and_goes_when_the_agent_is_ready() {
        let mut views = LiveViews::default();
        let agent = AgentId::new(3);
        let attempt = AttemptId::from_uuid(uuid::Uuid::from_u128(1));
        let key = crate::domain::attempt::AttemptKey {
            attempt,
            campaign: CampaignId::new(1),
            contact: crate::domain::ids::ContactId::new(1),
            person: crate::domain::ids::PersonId::new(1),
            number: crate::domain::ids::NumberId::new(1),
        };
        let at = Utc::from_ms(5);
        let state = |state| AgentNews::State { state, since: at, leaving: false, until: None };
        let card = CardView { name: "Оксана".into(), ..CardView::default() };
        views.agent_news(agent, "Ann", &state(AgentState::OnCall), None, at);
        views.agent_news(agent, "Ann", &AgentNews::Connected(key), Some(card), at);
        views.agent_news(agent, "Ann", &AgentNews::CallEnded(attempt), None, at);
        views.agent_news(agent, "Ann", &state(AgentState::WrapUp), None, at);
        let call = views.publish().agents[&3].call.clone().unwrap();
        assert_eq!((call.card.name.as_str(), call.state.as_str()), ("Оксана", "ended"));
        views.agent_news(agent, "Ann", &state(AgentState::Ready), None, at);
        assert_eq!(views.publish().agents[&3].call, None);
    }
}

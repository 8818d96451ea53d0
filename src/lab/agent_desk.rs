//! An agent at work, as a machine: sees their page's view, and decides what to click next.
//!
//! ```text
//!        logged_out, paused          preview                on_call              wrap_up
//! Idle ─► Entering (log in, ready)   Looking (accept, skip)  Talking (hang up)    Writing (dispose)
//! ```
//! Each view that comes may start another of these; what was asked for and did not happen is asked
//! for again after a while.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::media::HeardFrames;
use crate::adapters::views::{AgentView, CallView};
use crate::domain::phone::E164;
use crate::domain::time::{Duration, Mono, Now};
use crate::simulation::dice::{Dice, seconds};
use crate::simulation::population::Population;

/// Before the same thing is asked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often an agent in a call notices what they hear.
const LISTEN: Duration = Duration::from_millis(100);
/// Frames of a machine's greeting before an agent takes it for one: half a second.
const MACHINE_FRAMES: u64 = 25;
/// Refusals of one disposition before the agent gives it up.
const REFUSALS_MAX: u32 = 5;
/// Calls remembered by one desk.
const ROWS_MAX: usize = 20_000;

/// What the agent may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orders {
    /// Log in and take calls.
    #[default]
    Work,
    /// Ask for a break, and finish what is begun.
    Pause,
    /// Do nothing at all: neither hang up nor say what a call meant.
    Freeze,
}

/// One click: a POST to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Click {
    /// Below `/api/v1/agent/`.
    pub path: &'static str,
    /// JSON.
    pub body: String,
    /// Idempotency key, where the click has one.
    pub key: Option<String>,
}

/// One call on the agent's page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskRow {
    /// Which agent of the lab, from 1.
    pub agent: u32,
    /// When the record popped up, UTC milliseconds.
    pub popped_ms: i64,
    /// The agent asked to hang up.
    pub hung_up: bool,
    /// Frames of the callee's voice until the call's end.
    pub heard_voice: u64,
    /// Frames of a machine's greeting.
    pub heard_machine: u64,
    /// The disposition chosen.
    pub disposition: Option<String>,
    /// It was accepted.
    pub accepted: bool,
}

/// What one agent did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskBooks {
    /// Log-ins asked for.
    pub logins: u64,
    /// Previews accepted.
    pub previews_accepted: u64,
    /// Previews skipped.
    pub previews_skipped: u64,
    /// Clicks that the API refused, by path.
    pub refused: BTreeMap<String, u64>,
    /// Calls by attempt id.
    pub calls: BTreeMap<String, DeskRow>,
}

enum Doing {
    Nothing,
    Entering { due: Mono },
    Looking { contact: i64, due: Mono, accept: bool },
    Talking { attempt: String, before: HeardFrames, listens: Mono, leaves: Option<Mono> },
    Writing { attempt: String, due: Mono, code: String, body: String, refusals: u32 },
}

/// One agent.
pub(super) struct AgentDesk {
    number: u32,
    population: Arc<Population>,
    dice: Dice,
    orders: Orders,
    view: AgentView,
    doing: Doing,
    clicks: VecDeque<Click>,
    books: DeskBooks,
}

impl AgentDesk {
    pub(super) fn new(number: u32, seed: u64, population: Arc<Population>) -> Self {
        const OF_DESK: u64 = 10;
        Self {
            number,
            population,
            dice: Dice::of(seed, &[OF_DESK, u64::from(number)]),
            orders: Orders::Work,
            view: AgentView::default(),
            doing: Doing::Nothing,
            clicks: VecDeque::new(),
            books: DeskBooks::default(),
        }
    }

    pub(super) fn books(&self) -> &DeskBooks {
        &self.books
    }

    /// The page's last view.
    pub(super) fn view(&self) -> &AgentView {
        &self.view
    }

    /// Tells the agent how to go on.
    pub(super) fn order(&mut self, now: Now, orders: Orders, heard: HeardFrames) {
        self.orders = orders;
        let view = self.view.clone();
        if orders == Orders::Pause && view.state == "ready" {
            self.click("pause", "{}");
        }
        self.handle_view(now, view, heard);
    }

    /// The page shows this.
    pub(super) fn handle_view(&mut self, now: Now, view: AgentView, heard: HeardFrames) {
        self.view = view;
        match self.view.state.as_str() {
            "logged_out" | "paused" if self.orders == Orders::Work => {
                if !matches!(self.doing, Doing::Entering { .. }) {
                    self.doing = Doing::Entering { due: now.mono };
                }
            }
            "preview" => self.look(now),
            "on_call" | "wrap_up" => match self.view.call.clone() {
                Some(call) if self.view.state == "on_call" && call.state != "ended" => {
                    self.talk(now, &call, heard);
                }
                Some(call) => self.write(now, &call, heard),
                None => self.doing = Doing::Nothing,
            },
            _ => self.doing = Doing::Nothing,
        }
    }

    fn look(&mut self, now: Now) {
        let Some(contact) = self.view.preview.as_ref().map(|card| card.contact) else {
            return;
        };
        if !matches!(self.doing, Doing::Looking { contact: same, .. } if same == contact) {
            let wait = self.population.human_time(self.dice.between(2.0, 6.0));
            let accept = self.dice.chance(0.85);
            self.doing = Doing::Looking { contact, due: now.mono + wait, accept };
        }
    }

    fn pop(&mut self, now: Now, call: &CallView) {
        if self.books.calls.len() < ROWS_MAX {
            let (agent, popped_ms) = (self.number, now.utc.as_ms());
            let row = DeskRow { agent, popped_ms, ..DeskRow::default() };
            self.books.calls.entry(call.attempt.clone()).or_insert(row);
        }
    }

    fn talk(&mut self, now: Now, call: &CallView, heard: HeardFrames) {
        if matches!(&self.doing, Doing::Talking { attempt, .. } if *attempt == call.attempt) {
            return;
        }
        self.pop(now, call);
        // Whether this person ends the talk is theirs; the agent knows when nothing is left to say.
        let number = E164::parse(&call.card.number).map_or(0, E164::get);
        let (talk, person_ends) = self.population.talk(number);
        let patience = if person_ends { talk * 3 + self.population.human_time(60.0) } else { talk };
        self.doing = Doing::Talking {
            attempt: call.attempt.clone(),
            before: heard,
            listens: now.mono + LISTEN,
            leaves: Some(now.mono + patience),
        };
    }

    fn write(&mut self, now: Now, call: &CallView, heard: HeardFrames) {
        if matches!(&self.doing, Doing::Writing { attempt, .. } if *attempt == call.attempt) {
            return;
        }
        self.pop(now, call);
        if let Doing::Talking { attempt, before, .. } = &self.doing
            && *attempt == call.attempt
        {
            let before = *before;
            self.note_heard(&call.attempt, &before, &heard);
        }
        let row = self.books.calls.get(&call.attempt);
        if row.is_some_and(|row| row.accepted) {
            return;
        }
        let machine = row.is_some_and(|row| row.heard_machine >= MACHINE_FRAMES);
        let calls = u32::try_from(self.books.calls.len()).unwrap_or(u32::MAX);
        let due = now.mono + self.population.wrap_up(self.number, calls);
        let (code, body) = self.choose(now, call, machine);
        let attempt = call.attempt.clone();
        self.doing = Doing::Writing { attempt, due, code, body, refusals: 0 };
    }

    fn note_heard(&mut self, attempt: &str, before: &HeardFrames, heard: &HeardFrames) {
        if let Some(row) = self.books.calls.get_mut(attempt) {
            row.heard_voice = heard.customer.saturating_sub(before.customer);
            row.heard_machine = heard.other.saturating_sub(before.other);
        }
    }

    /// What the agent says the call meant: a code of the campaign, and the whole request.
    fn choose(&mut self, now: Now, call: &CallView, machine: bool) -> (String, String) {
        let point = self.dice.uniform();
        let (wanted, next) = match point {
            _ if machine => ("answering_machine", None),
            p if p < 0.15 => ("success", None),
            p if p < 0.20 => {
                // Promised calls are for later, not for this run.
                let later = seconds(3_600.0 + self.dice.between(0.0, 100_000.0));
                let at = (now.utc + later).as_ms();
                ("success", Some(serde_json::json!({ "kind": "callback", "at": at })))
            }
            p if p < 0.23 => ("do_not_call", None),
            p if p < 0.40 => ("wrong_person", None),
            _ => ("not_interested", None),
        };
        let offered = &call.card.dispositions;
        let code = offered
            .iter()
            .find(|choice| choice.code == wanted)
            .or_else(|| offered.first())
            .map_or_else(|| wanted.to_owned(), |choice| choice.code.clone());
        let mut body = serde_json::json!({ "attempt": call.attempt, "code": code });
        if let (Some(next), Some(fields)) = (next, body.as_object_mut()) {
            fields.insert("next".to_owned(), next);
        }
        (code, body.to_string())
    }

    fn click(&mut self, path: &'static str, body: &str) {
        self.clicks.push_back(Click { path, body: body.to_owned(), key: None });
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        if self.orders == Orders::Freeze {
            return None;
        }
        match &self.doing {
            Doing::Nothing => None,
            Doing::Entering { due } | Doing::Looking { due, .. } | Doing::Writing { due, .. } => {
                Some(*due)
            }
            Doing::Talking { listens, .. } => Some(*listens),
        }
    }

    /// A deadline may have come.
    pub(super) fn handle_timeout(&mut self, now: Now, heard: HeardFrames) {
        if self.poll_timeout().is_none_or(|due| due > now.mono) {
            return;
        }
        let again = now.mono + AGAIN;
        match &mut self.doing {
            Doing::Nothing => {}
            Doing::Entering { due } => {
                *due = again;
                if self.view.state == "logged_out" {
                    self.books.logins += 1;
                    self.click("login", "{}");
                } else {
                    self.click("ready", "{}");
                }
            }
            Doing::Looking { due, accept, .. } => {
                *due = again;
                if *accept {
                    self.click("preview/accept", "{}");
                } else {
                    self.click("preview/skip", r#"{"close":false}"#);
                }
            }
            Doing::Talking { .. } => self.listen(now, &heard),
            Doing::Writing { attempt, due, code, body, refusals } => {
                *due = again;
                let key = Some(format!("lab-{attempt}-{refusals}"));
                let click = Click { path: "disposition", body: body.clone(), key };
                if let Some(row) = self.books.calls.get_mut(attempt) {
                    row.disposition = Some(code.clone());
                }
                self.clicks.push_back(click);
            }
        }
    }

    fn listen(&mut self, now: Now, heard: &HeardFrames) {
        /// What an agent needs to understand that it is a machine and to hang up, in real seconds.
        const REACTION_S: f64 = 4.0;
        let Doing::Talking { attempt, before, listens, leaves } = &mut self.doing else {
            return;
        };
        *listens = now.mono + LISTEN;
        if heard.other.saturating_sub(before.other) >= MACHINE_FRAMES {
            let reaction = now.mono + self.population.human_time(REACTION_S);
            *leaves = leaves.map(|leaves| leaves.min(reaction));
        }
        let leave_now = leaves.is_some_and(|leaves| leaves <= now.mono);
        if leave_now {
            // Asked for again, should nothing come of it.
            *leaves = Some(now.mono + AGAIN);
        }
        let (attempt, before) = (attempt.clone(), *before);
        self.note_heard(&attempt, &before, heard);
        if leave_now {
            if let Some(row) = self.books.calls.get_mut(&attempt) {
                row.hung_up = true;
            }
            self.click("hangup", "{}");
        }
    }

    /// The next click.
    pub(super) fn poll_click(&mut self) -> Option<Click> {
        self.clicks.pop_front()
    }

    /// What the API said to a click; `None` where there was no answer.
    pub(super) fn handle_answer(&mut self, click: &Click, status: Option<u16>) {
        let Some(status) = status else {
            // The deadline that is set already asks again, with the same key.
            return;
        };
        let accepted = (200..300).contains(&status);
        if !accepted {
            *self.books.refused.entry(click.path.to_owned()).or_default() += 1;
        }
        match (click.path, &mut self.doing) {
            ("preview/accept", _) if accepted => self.books.previews_accepted += 1,
            ("preview/skip", _) if accepted => self.books.previews_skipped += 1,
            ("disposition", Doing::Writing { attempt, refusals, body, .. })
                if *body == click.body =>
            {
                if accepted {
                    if let Some(row) = self.books.calls.get_mut(attempt) {
                        row.accepted = true;
                    }
                    self.doing = Doing::Nothing;
                } else {
                    *refusals += 1;
                    if *refusals >= REFUSALS_MAX {
                        self.doing = Doing::Nothing;
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::views::{CardView, DispositionView};
    use crate::domain::time::Utc;
    use crate::simulation::population::PopulationParams;

    fn at(ms: u64) -> Now {
        Now { mono: Mono::from_micros(ms * 1_000), utc: Utc::from_ms(ms as i64) }
    }

    fn desk() -> AgentDesk {
        let params = PopulationParams { speed: 10.0, ..PopulationParams::default() };
        AgentDesk::new(1, 1, Arc::new(Population::new(1, params)))
    }

    fn view(state: &str, call: Option<&str>) -> AgentView {
        let codes =
            ["success", "not_interested", "answering_machine", "wrong_person", "do_not_call"];
        let dispositions = codes
            .map(|code| DispositionView { code: code.into(), ..DispositionView::default() })
            .to_vec();
        let number = String::from("+12125550100");
        let card = CardView { number, dispositions, contact: 7, ..CardView::default() };
        let preview = (state == "preview").then(|| card.clone());
        let call = call.map(|call_state| CallView {
            attempt: "a1".into(),
            state: call_state.into(),
            card,
            ..CallView::default()
        });
        AgentView { state: state.into(), call, preview, ..AgentView::default() }
    }

    /// Lets time pass until the next click, at most this long.
    fn next_click(desk: &mut AgentDesk, heard: HeardFrames, until_ms: u64) -> Option<(u64, Click)> {
        while let Some(due) = desk.poll_timeout() {
            let ms = due.as_micros().div_ceil(1_000);
            if ms > until_ms {
                return None;
            }
            desk.handle_timeout(at(ms), heard);
            if let Some(click) = desk.poll_click() {
                return Some((ms, click));
            }
        }
        None
    }

    const NOTHING: HeardFrames = HeardFrames {
        agent: 0,
        customer: 0,
        chime: 0,
        chimes: 0,
        other: 0,
        silent: 0,
        sent: 0,
        lost: 0,
    };

    #[test]
    fn an_agent_logs_in_again_and_again_until_it_works_and_takes_calls() {
        let mut desk = desk();
        desk.handle_view(at(0), view("logged_out", None), NOTHING);
        let (first, click) = next_click(&mut desk, NOTHING, 100).unwrap();
        let (second, _) = next_click(&mut desk, NOTHING, 5_000).unwrap();
        assert_eq!((click.path, first, second), ("login", 0, 1_000));
        desk.handle_view(at(2_000), view("connecting", None), NOTHING);
        assert_eq!(next_click(&mut desk, NOTHING, 60_000), None);
        desk.handle_view(at(3_000), view("paused", None), NOTHING);
        assert_eq!(next_click(&mut desk, NOTHING, 4_000).unwrap().1.path, "ready");
    }

    #[test]
    fn a_call_pops_once_and_is_disposed_of_after_the_wrap_up() {
        let mut desk = desk();
        desk.handle_view(at(0), view("on_call", Some("talking")), NOTHING);
        desk.handle_view(at(10), view("on_call", Some("talking")), NOTHING);
        let heard = HeardFrames { customer: 90, ..NOTHING };
        desk.handle_view(at(2_000), view("wrap_up", Some("ended")), heard);
        let (ms, click) = next_click(&mut desk, heard, 60_000).unwrap();
        assert_eq!(click.path, "disposition");
        assert!(ms > 2_200, "{ms}: a wrap-up takes time");
        let row = &desk.books().calls["a1"];
        assert_eq!((row.heard_voice, row.heard_machine, row.accepted), (90, 0, false));
        desk.handle_answer(&click, None);
        let (_, again) = next_click(&mut desk, heard, 90_000).unwrap();
        assert_eq!(again, click, "without an answer the same key is sent again");
        desk.handle_answer(&again, Some(202));
        assert!(desk.books().calls["a1"].accepted);
        desk.handle_view(at(95_000), view("wrap_up", Some("ended")), heard);
        assert_eq!(next_click(&mut desk, heard, 200_000), None);
    }

    #[test]
    fn a_refused_disposition_is_tried_under_another_key_and_given_up_at_last() {
        let mut desk = desk();
        desk.handle_view(at(0), view("wrap_up", Some("ended")), NOTHING);
        let mut keys = std::collections::BTreeSet::new();
        while let Some((_, click)) = next_click(&mut desk, NOTHING, 600_000) {
            keys.insert(click.key.clone());
            desk.handle_answer(&click, Some(409));
        }
        assert_eq!(keys.len(), REFUSALS_MAX as usize);
        assert_eq!(desk.books().refused["disposition"], 5);
    }

    #[test]
    fn a_machine_is_left_soon_and_called_by_its_name() {
        let mut desk = desk();
        desk.handle_view(at(0), view("on_call", Some("talking")), NOTHING);
        let heard = HeardFrames { other: 40, ..NOTHING };
        let (ms, click) = next_click(&mut desk, heard, 60_000).unwrap();
        assert_eq!(click.path, "hangup");
        assert!((400..800).contains(&ms), "{ms}");
        desk.handle_view(at(ms), view("wrap_up", Some("ended")), heard);
        let (_, click) = next_click(&mut desk, heard, 60_000).unwrap();
        assert!(click.body.contains("answering_machine"), "{}", click.body);
    }

    #[test]
    fn previews_are_looked_at_and_mostly_accepted() {
        let mut desk = desk();
        let mut accepted = 0;
        for contact in 0..200 {
            let mut shown = view("preview", None);
            shown.preview.as_mut().unwrap().contact = contact;
            let now = contact as u64 * 10_000;
            desk.handle_view(at(now), shown, NOTHING);
            let (ms, click) = next_click(&mut desk, NOTHING, now + 5_000).unwrap();
            assert!(ms >= now + 200);
            desk.handle_answer(&click, Some(202));
            accepted += u64::from(click.path == "preview/accept");
        }
        assert!((150..190).contains(&accepted), "{accepted}");
        assert_eq!(desk.books().previews_accepted, accepted);
        assert_eq!(desk.books().previews_skipped, 200 - accepted);
    }

    #[test]
    fn a_frozen_agent_does_nothing_and_goes_on_afterwards() {
        let mut desk = desk();
        desk.handle_view(at(0), view("wrap_up", Some("ended")), NOTHING);
        desk.order(at(0), Orders::Freeze, NOTHING);
        assert_eq!(next_click(&mut desk, NOTHING, 600_000), None);
        desk.order(at(1_000), Orders::Work, NOTHING);
        assert_eq!(next_click(&mut desk, NOTHING, 600_000).unwrap().1.path, "disposition");
    }

    #[test]
    fn an_agent_told_to_pause_asks_for_it_and_does_not_come_back_by_itself() {
        let mut desk = desk();
        desk.handle_view(at(0), view("ready", None), NOTHING);
        desk.order(at(0), Orders::Pause, NOTHING);
        assert_eq!(desk.poll_click().unwrap().path, "pause");
        desk.handle_view(at(10), view("paused", None), NOTHING);
        assert_eq!(next_click(&mut desk, NOTHING, 600_000), None);
    }
}

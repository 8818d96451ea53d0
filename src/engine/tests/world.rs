//! The engine's world in virtual time: carrier, people, agents, managers and clocks that do their
//! worst, a store in miniature, and counters of the test's own.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use super::super::agent_run::Doing;
use super::super::engine::Engine;
use super::super::input::{AgentCommand, Input, LegEnd, LegEvent, Rest};
use super::super::output::{AgentNews, Output};
use crate::domain::abandon::{AbandonLimit, Formula, Tally};
use crate::domain::agent::{AgentRules, AgentState};
use crate::domain::attempt::{AttemptEnd, AttemptKey, IntentRefusal, Record};
use crate::domain::call_result::{CallResult, NetworkEnd, Verdict};
use crate::domain::calling_hours::CallingHours;
use crate::domain::campaign::{CampaignRules, CampaignState, Mode};
use crate::domain::contact::{NumberType, ReadyRecord};
use crate::domain::disposition::NextAction;
use crate::domain::ids::{
    AgentId, AttemptId, CampaignId, ContactId, LegId, NumberId, PersonId, TrunkId,
};
use crate::domain::retry::{ContactNext, RetryRules};
use crate::domain::time::{Duration, Mono, Now, Utc};
use crate::domain::trunk::TrunkRules;

pub(super) const CAMPAIGN: CampaignId = CampaignId::new(1);
pub(super) const TRUNK: TrunkId = TrunkId::new(1);
/// 2026-11-24T12:00:00Z
pub(super) const NOON: i64 = 1_795_521_600_000;
/// Answers after which a patient adversary begins.
const RICH: u32 = 300;

pub(super) fn rules(mode: Mode, limit: AbandonLimit) -> CampaignRules {
    CampaignRules {
        id: CAMPAIGN,
        version: 1,
        mode,
        legal_zone: Tz::UTC,
        calling_hours: CallingHours::all_day(),
        abandon_limit: limit,
        number_gap: Duration::from_secs(3_600),
        ring_timeout: Duration::from_secs(20),
        wrap_up: Some(Duration::from_secs(10)),
        preview_timeout: None,
        attempts_max: 1,
        retry: RetryRules::default(),
        trunk: TRUNK,
        lines_max: 10_000,
    }
}

pub(super) fn us() -> AbandonLimit {
    AbandonLimit::us(Tz::UTC, "2026-01-01".parse().unwrap())
}

pub(super) fn record(n: i64) -> ReadyRecord {
    ReadyRecord {
        contact: ContactId::new(n),
        person: PersonId::new(n),
        number: NumberId::new(n),
        zone: Tz::Europe__Kyiv,
        number_type: NumberType::Mobile,
        prefix_class: 380,
        priority: 0,
        seq: n,
        attempts: 0,
    }
}

/// How the carrier and the people of a campaign behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adversary {
    /// Everything at random.
    Random,
    /// Nobody answers until many ring, then all answer in the same instant.
    Burst,
    /// Nobody answers until the log of answers is rich, then as `Burst`.
    Patient,
    /// Nobody answers unless the test says so.
    Silent,
}

/// What happens at a time of its own.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Input(Input),
    /// Some of what rings for a campaign is answered at once; all of it if so said.
    Burst(CampaignId, bool),
    /// A manager starts a campaign again, under the rules it has by then.
    Resume(CampaignId),
}

/// One campaign as the test keeps it: its records, what rings, what it counted.
#[derive(Debug, Clone)]
pub(super) struct Book {
    pub(super) rules: CampaignRules,
    pub(super) state: CampaignState,
    adversary: Adversary,
    ready: BTreeMap<i64, ReadyRecord>,
    due: Vec<(Utc, ReadyRecord)>,
    /// Records that come to the list later: the next number, and how many.
    unborn: (i64, i64),
    ringing: BTreeSet<AttemptId>,
    pub(super) windows: BTreeMap<Utc, Tally>,
    /// Agents who went away while calls relied on them.
    pub(super) vanished: u32,
    /// Abandons that the engine put down to causes outside, crossings and hang-ups apart.
    pub(super) outside: u32,
    pub(super) launched: u32,
}

impl Book {
    fn of(&mut self, window: Utc) -> &mut Tally {
        self.windows.entry(window).or_default()
    }

    pub(super) fn total(&self) -> Tally {
        self.windows.values().fold(Tally::default(), |sum, one| Tally {
            live_answers: sum.live_answers + one.live_answers,
            abandoned: sum.abandoned + one.abandoned,
            connected: sum.connected + one.connected,
        })
    }
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now: Now,
    seed: u64,
    start: i64,
    pub(super) events: BTreeMap<(Mono, u64), Event>,
    count: u64,
    pub(super) utc_offset_ms: i64,
    /// The latest wall time that was seen: answers belong to the window of it.
    latest: Utc,
    /// The midnight that the run may cross.
    boundary: Option<Utc>,
    /// Managers, trunks and clocks do their worst too.
    pub(super) meddling: bool,
    /// Agents' phones fall silent and go away.
    pub(super) vanishing: bool,
    /// Agents ask for breaks, lose patience, forget dispositions.
    pub(super) restless: bool,
    pub(super) books: BTreeMap<CampaignId, Book>,
    pub(super) agents: BTreeMap<AgentId, AgentRules>,
    trunk: TrunkRules,
    pub(super) launched: BTreeSet<AttemptId>,
    keys: BTreeMap<AttemptId, AttemptKey>,
    contacts_live: BTreeMap<ContactId, AttemptId>,
    pub(super) live: BTreeMap<AttemptId, Mono>,
    intended: BTreeMap<AttemptId, Mono>,
    pub(super) dialled: BTreeSet<AttemptId>,
    ended: BTreeMap<AttemptId, u32>,
    refused: BTreeSet<AttemptId>,
    /// Answered, and not known to be a person.
    listening: BTreeSet<AttemptId>,
    /// The window of each answer.
    answered: BTreeMap<AttemptId, Utc>,
    hung_up: BTreeSet<AttemptId>,
    on_agent: BTreeMap<LegId, LegId>,
    pub(super) agent_legs: BTreeMap<AgentId, LegId>,
    pub(super) states: BTreeMap<AgentId, AgentState>,
    pub(super) outputs: Vec<Output>,
    /// Abandons in another window than the one of the moment.
    pub(super) late_abandons: u32,
    hungry_since: BTreeMap<AgentId, Mono>,
}

impl World {
    /// A world with one trunk and nothing else, beginning at `start` (UTC ms).
    pub(super) fn empty(seed: u64, start: i64) -> Self {
        let trunk = TrunkRules {
            id: TRUNK,
            version: 1,
            calls_per_second: 50,
            lines: 10_000,
            caller_ids: 2,
        };
        let mut world = Self {
            engine: Engine::new(seed),
            now: Now { mono: Mono::from_micros(1), utc: Utc::from_ms(start) },
            seed: seed | 1,
            start,
            events: BTreeMap::new(),
            count: 0,
            utc_offset_ms: 0,
            latest: Utc::from_ms(start),
            boundary: None,
            meddling: false,
            vanishing: false,
            restless: true,
            books: BTreeMap::new(),
            agents: BTreeMap::new(),
            trunk,
            launched: BTreeSet::new(),
            keys: BTreeMap::new(),
            contacts_live: BTreeMap::new(),
            live: BTreeMap::new(),
            intended: BTreeMap::new(),
            dialled: BTreeSet::new(),
            ended: BTreeMap::new(),
            refused: BTreeSet::new(),
            listening: BTreeSet::new(),
            answered: BTreeMap::new(),
            hung_up: BTreeSet::new(),
            on_agent: BTreeMap::new(),
            agent_legs: BTreeMap::new(),
            states: BTreeMap::new(),
            outputs: Vec::new(),
            late_abandons: 0,
            hungry_since: BTreeMap::new(),
        };
        world.input(Input::Trunk(trunk));
        world
    }

    /// One campaign at noon with agents of its own.
    pub(super) fn new(
        seed: u64,
        mode: Mode,
        limit: AbandonLimit,
        agents: i64,
        adversary: Adversary,
    ) -> Self {
        let mut world = Self::empty(seed, NOON);
        world.campaign(rules(mode, limit), adversary, 4_000, 0);
        for n in 1..=agents {
            world.agent(n, vec![CAMPAIGN]);
        }
        world
    }

    /// A running campaign with so many records now and so many that come later.
    pub(super) fn campaign(
        &mut self,
        rules: CampaignRules,
        adversary: Adversary,
        now: i64,
        later: i64,
    ) {
        let first = rules.id.get() * 1_000_000;
        let book = Book {
            rules: rules.clone(),
            state: CampaignState::Running,
            adversary,
            ready: (first..first + now).map(|n| (n, record(n))).collect(),
            due: Vec::new(),
            unborn: (first + now, later),
            ringing: BTreeSet::new(),
            windows: BTreeMap::new(),
            vanished: 0,
            outside: 0,
            launched: 0,
        };
        self.books.insert(rules.id, book);
        self.input(Input::Campaign(Box::new(rules), CampaignState::Running));
    }

    pub(super) fn agent(&mut self, n: i64, campaigns: Vec<CampaignId>) {
        let id = AgentId::new(n);
        let rules = AgentRules { id, version: 1, campaigns };
        self.agents.insert(id, rules.clone());
        self.input(Input::AgentRules(rules));
        self.input(Input::Agent(id, AgentCommand::LogIn));
    }

    /// What the store counted in the present window before the run.
    pub(super) fn counted_before(&mut self, campaign: CampaignId, tally: Tally) {
        let window = self.books[&campaign].rules.abandon_limit.window_at(self.now.utc);
        self.books.get_mut(&campaign).unwrap().windows.insert(window.start, tally);
        self.input(Input::Tally { campaign, window, tally, outside: 0 });
    }

    /// The run crosses this end of a window: some answer just before it, the rest just after.
    pub(super) fn crosses(&mut self, boundary: Utc) {
        self.boundary = Some(boundary);
        let left = u64::try_from(boundary.as_ms() - self.now.utc.as_ms()).unwrap();
        for campaign in self.books.keys().copied().collect::<Vec<_>>() {
            let before = left.saturating_sub(1 + self.dice(1_500));
            let after = left + self.dice(1_500);
            self.event(before, Event::Burst(campaign, false));
            self.event(after, Event::Burst(campaign, true));
        }
    }

    pub(super) fn answers(&self) -> u32 {
        self.books.values().map(|book| book.total().live_answers).sum()
    }

    pub(super) fn abandons(&self) -> u32 {
        self.books.values().map(|book| book.total().abandoned).sum()
    }

    pub(super) fn dice(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound
    }

    fn chosen<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.dice(of.len() as u64)).unwrap()]
    }

    fn event(&mut self, ms: u64, event: Event) {
        self.count += 1;
        self.events.insert((self.now.mono + Duration::from_millis(ms), self.count), event);
    }

    fn after(&mut self, ms: u64, input: Input) {
        self.event(ms, Event::Input(input));
    }

    fn leg(&mut self, ms: u64, leg: LegId, event: LegEvent) {
        self.after(ms, Input::Leg(leg, event));
    }

    fn book_of(&mut self, attempt: AttemptId) -> &mut Book {
        self.books.get_mut(&self.keys[&attempt].campaign).unwrap()
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.input(input),
            Event::Burst(campaign, all) => self.burst(campaign, all),
            Event::Resume(campaign) => {
                let book = self.books.get_mut(&campaign).unwrap();
                book.state = CampaignState::Running;
                let rules = Box::new(book.rules.clone());
                self.input(Input::Campaign(rules, CampaignState::Running));
            }
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.latest = self.latest.max(self.now.utc);
        let input = self.note(input);
        let outputs = self.engine.handle(self.now, input);
        for output in outputs {
            self.carry_out(output.clone());
            self.outputs.push(output);
        }
    }

    /// Counts what an input means before the engine does; the store refuses what is not in its queue.
    fn note(&mut self, input: Input) -> Input {
        match &input {
            Input::Leg(leg, LegEvent::Answered) => {
                let attempt = AttemptId::from_uuid(leg.as_uuid());
                if self.keys.contains_key(&attempt) {
                    self.book_of(attempt).ringing.remove(&attempt);
                }
            }
            Input::Leg(leg, LegEvent::Ended(_) | LegEvent::Failed(_)) => {
                self.on_agent.remove(leg);
                self.person_known(AttemptId::from_uuid(leg.as_uuid()));
            }
            Input::Heard(leg, verdict) => {
                let attempt = AttemptId::from_uuid(leg.as_uuid());
                if verdict.ends_call().is_none() {
                    self.person_known(attempt);
                }
                self.listening.remove(&attempt);
            }
            Input::HangUp(attempt) => {
                self.hung_up.insert(*attempt);
                self.person_known(*attempt);
            }
            Input::Intended(attempt) => {
                let attempt = *attempt;
                let contact = self.keys[&attempt].contact.get();
                if self.book_of(attempt).ready.remove(&contact).is_none() {
                    self.refused.insert(attempt);
                    self.gone(attempt);
                    return Input::IntentRefused(attempt, IntentRefusal::NotReady);
                }
            }
            Input::IntentRefused(attempt, _) => {
                let contact = self.keys[attempt].contact.get();
                self.book_of(*attempt).ready.remove(&contact);
            }
            _ => {}
        }
        if let Input::IntentRefused(attempt, _) = &input {
            self.gone(*attempt);
        }
        input
    }

    /// An answer under a verdict, or over before one, is a person's.
    fn person_known(&mut self, attempt: AttemptId) {
        if self.listening.remove(&attempt) {
            let window = self.answered[&attempt];
            self.book_of(attempt).of(window).live_answers += 1;
        }
    }

    fn gone(&mut self, attempt: AttemptId) {
        self.live.remove(&attempt);
        let contact = self.keys[&attempt].contact;
        if self.contacts_live.get(&contact) == Some(&attempt) {
            self.contacts_live.remove(&contact);
        }
    }

    fn refill(&mut self, campaign: CampaignId, after: Option<(i32, i64)>, limit: u32) {
        let born = if after.is_none() { self.dice(150) } else { 0 };
        let now = self.now.utc;
        let book = self.books.get_mut(&campaign).unwrap();
        let born = i64::try_from(born).unwrap().min(book.unborn.1);
        book.ready.extend((book.unborn.0..book.unborn.0 + born).map(|n| (n, record(n))));
        book.unborn = (book.unborn.0 + born, book.unborn.1 - born);
        let (due, wait) = std::mem::take(&mut book.due).into_iter().partition(|(at, _)| *at <= now);
        book.due = wait;
        let due: Vec<(Utc, ReadyRecord)> = due;
        book.ready.extend(due.into_iter().map(|(_, record)| (record.seq, record)));
        let from = after.map_or(i64::MIN, |(_, seq)| seq + 1);
        let mut found = book.ready.range(from..).map(|(_, record)| *record);
        let records: Vec<ReadyRecord> =
            found.by_ref().take(usize::try_from(limit).unwrap()).collect();
        let rest = if found.next().is_some() {
            Rest::More
        } else if book.unborn.1 > 0 || !book.due.is_empty() {
            Rest::Later(book.due.iter().map(|(at, _)| at.as_ms()).min())
        } else {
            Rest::Nothing
        };
        self.after(5, Input::Records { campaign, records, rest });
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Refill { campaign, after, limit } => self.refill(campaign, after, limit),
            Output::Intend(intent) => self.intend(intent.key),
            Output::Dial { attempt, .. } => self.dial(attempt),
            Output::Cancel(leg, _) => self.cancel(leg),
            Output::HangUp(leg) => {
                let wait = self.dice(200);
                self.leg(wait, leg, LegEvent::Ended(LegEnd::Local));
            }
            Output::Listen(leg) => self.listen(leg),
            Output::CallAgent(agent, leg) => {
                self.agent_legs.insert(agent, leg);
                if self.vanishing && self.dice(8) == 0 {
                    self.leg(500, leg, LegEvent::Failed(NetworkEnd::default()));
                } else {
                    self.leg(20, leg, LegEvent::Answered);
                    self.leg(60, leg, LegEvent::MediaFresh);
                }
            }
            Output::Bridge { customer, agent } => self.bridge(customer, agent),
            Output::Unbridge(leg) => {
                assert!(self.on_agent.remove(&leg).is_some(), "unbridged without a bridge");
            }
            Output::PlayAbandonMessage(leg, campaign) => {
                let attempt = AttemptId::from_uuid(leg.as_uuid());
                assert_eq!(self.keys[&attempt].campaign, campaign);
                let window = self.answered[&attempt];
                let latest = self.latest;
                let book = self.books.get_mut(&campaign).unwrap();
                book.of(window).abandoned += 1;
                let here = book.rules.abandon_limit.window_at(latest).start;
                self.late_abandons += u32::from(here != window);
                self.leg(2_500, leg, LegEvent::Played);
            }
            Output::Record(record) => self.record(record),
            Output::ToAgent(agent, news) => self.agent_news(agent, news),
            Output::Defer { campaign, contact, until } => {
                let book = self.books.get_mut(&campaign).unwrap();
                if let Some(record) = book.ready.remove(&contact.get()) {
                    book.due.push((until, record));
                }
            }
            Output::Fact(_) => {}
        }
    }

    fn intend(&mut self, key: AttemptKey) {
        let attempt = key.attempt;
        assert!(self.launched.insert(attempt), "an attempt id twice");
        let before = self.contacts_live.insert(key.contact, attempt);
        assert!(before.is_none(), "a contact in the air twice");
        self.keys.insert(attempt, key);
        self.live.insert(attempt, self.now.mono);
        self.intended.insert(attempt, self.now.mono);
        self.book_of(attempt).launched += 1;
        let wait = if self.dice(50) == 0 { 2_500 } else { 3 + self.dice(40) };
        if self.dice(40) == 0 {
            self.refused.insert(attempt);
            self.after(wait, Input::IntentRefused(attempt, IntentRefusal::DoNotCall));
        } else {
            self.after(wait, Input::Intended(attempt));
        }
    }

    fn dial(&mut self, attempt: AttemptId) {
        let since = self.intended.get(&attempt).expect("dialled without an intent");
        assert!(self.now.mono.since(*since) <= Duration::from_secs(2), "an old intent was dialled");
        assert!(!self.refused.contains(&attempt), "a refused intent was dialled");
        assert!(self.dialled.insert(attempt), "dialled twice");
        let adversary = {
            let book = self.book_of(attempt);
            book.ringing.insert(attempt);
            let poor = book.total().live_answers < RICH;
            if book.adversary == Adversary::Patient && poor {
                Adversary::Random
            } else {
                book.adversary
            }
        };
        let leg = attempt.leg();
        // A mobile network may take nearly all of the set-up before it rings.
        let ring = if self.dice(8) == 0 { self.dice(9_900) } else { 200 + self.dice(2_000) };
        self.leg(ring, leg, LegEvent::Ringing);
        if adversary == Adversary::Random {
            match self.dice(10) {
                0..=3 => {
                    let after = ring + self.dice(15_000);
                    self.leg(after, leg, LegEvent::Answered);
                    self.loses_patience(after, leg);
                }
                4..=6 => {
                    let status = self.chosen(&[404, 480, 486, 503, 603]);
                    let end = NetworkEnd { status: Some(status), ..NetworkEnd::default() };
                    let after = ring + self.dice(5_000);
                    self.leg(after, leg, LegEvent::Failed(end));
                }
                _ => {}
            }
        }
    }

    /// Hangs up while waiting, or before a verdict.
    fn loses_patience(&mut self, answered: u64, leg: LegId) {
        if self.dice(6) == 0 {
            let patience = self.dice(2_500);
            self.leg(answered + patience, leg, LegEvent::Ended(LegEnd::Remote));
        }
    }

    fn cancel(&mut self, leg: LegId) {
        let crosses = self.dice(30) == 0;
        let wait = self.dice(1_000);
        let attempt = AttemptId::from_uuid(leg.as_uuid());
        let rang = self.keys.contains_key(&attempt) && {
            let dialled = self.dialled.contains(&attempt);
            self.book_of(attempt).ringing.remove(&attempt) || !dialled
        };
        if rang || !self.keys.contains_key(&attempt) {
            let end = NetworkEnd { status: Some(487), ..NetworkEnd::default() };
            let event = if crosses && self.dialled.contains(&attempt) {
                // Outside the promise: not counted by the test either.
                LegEvent::Ended(LegEnd::CrossedCancel)
            } else {
                LegEvent::Failed(end)
            };
            self.leg(wait, leg, event);
        } else {
            // The answer is on its way already: the SIP floor ends it and says so.
            self.leg(wait, leg, LegEvent::Ended(LegEnd::CrossedCancel));
        }
    }

    /// Most answers are known at once; some are listened to, over midnight too.
    fn listen(&mut self, leg: LegId) {
        let attempt = AttemptId::from_uuid(leg.as_uuid());
        let latest = self.latest;
        let window = self.book_of(attempt).rules.abandon_limit.window_at(latest).start;
        self.answered.insert(attempt, window);
        self.listening.insert(attempt);
        let (wait, verdict) = match self.dice(12) {
            0 => (self.dice(4_000), Verdict::Machine),
            1 | 2 => (self.dice(4_000), Verdict::Person),
            _ => (0, Verdict::NotListened),
        };
        self.after(wait, Input::Heard(leg, verdict));
    }

    fn bridge(&mut self, customer: LegId, agent: LegId) {
        let before = self.on_agent.insert(agent, customer);
        assert!(before.is_none(), "an agent with two customers");
        let attempt = AttemptId::from_uuid(customer.as_uuid());
        let window = self.answered[&attempt];
        self.book_of(attempt).of(window).connected += 1;
        let talk = 2_000 + self.dice(60_000);
        if self.dice(3) == 0 {
            let id = *self.agent_legs.iter().find(|(_, leg)| **leg == agent).unwrap().0;
            self.after(talk, Input::Agent(id, AgentCommand::HangUp));
        }
        // Whoever of the two is later finds it over.
        self.leg(talk + 5_000, customer, LegEvent::Ended(LegEnd::Remote));
    }

    fn burst(&mut self, campaign: CampaignId, all: bool) {
        let ringing: Vec<AttemptId> = self.books[&campaign].ringing.iter().copied().collect();
        let ready = self.states.values().filter(|state| **state == AgentState::Ready).count();
        let some = match self.dice(2) {
            0 => ready,
            _ => usize::try_from(self.dice(ringing.len() as u64 + 1)).unwrap(),
        };
        let n = if all { ringing.len() } else { some };
        for attempt in ringing.into_iter().take(n) {
            self.book_of(attempt).ringing.remove(&attempt);
            self.leg(0, attempt.leg(), LegEvent::Answered);
            self.loses_patience(0, attempt.leg());
        }
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Ended(end) => {
                let attempt = end.key.attempt;
                self.gone(attempt);
                self.book_of(attempt).ringing.remove(&attempt);
                *self.ended.entry(attempt).or_default() += 1;
                self.count_end(&end);
                self.put_back(&end);
            }
            Record::Skipped(end) => self.put_back(&end),
            Record::Disposition(disposition) => {
                let attempt = disposition.key.attempt;
                assert_eq!(self.ended.get(&attempt), Some(&1), "a disposition before its end");
            }
            Record::CampaignFinished { campaign, .. } => {
                let book = self.books.get_mut(&campaign).unwrap();
                book.state = CampaignState::Finished;
                let left = book.ready.len() + book.due.len();
                assert_eq!((left, book.unborn.1), (0, 0), "finished with records left");
            }
            Record::Answered { .. } | Record::Connected { .. } => {}
        }
    }

    fn count_end(&mut self, end: &AttemptEnd) {
        let Some(count) = end.count else {
            assert!(!end.result.row().is_live_answer, "{:?} not counted", end.result);
            return;
        };
        assert!(end.result.row().is_live_answer, "{:?} counted", end.result);
        let abandoned = [CallResult::Abandoned, CallResult::AbandonedToMessage];
        assert_eq!(count.abandoned, abandoned.contains(&end.result));
        let attempt = end.key.attempt;
        if let Some(window) = self.answered.get(&attempt) {
            assert_eq!(count.window_start, *window, "an answer counted in another window");
        }
        let known = end.evidence.answer_crossed_cancel || self.hung_up.contains(&attempt);
        if count.outside && !known {
            let book = self.book_of(attempt);
            book.outside += 1;
            let (outside, vanished) = (book.outside, book.vanished);
            assert!(
                outside <= vanished,
                "{outside} abandons outside, {vanished} vanished: {end:?} {:?}",
                self.engine.campaigns[&end.key.campaign].guard
            );
        }
    }

    fn put_back(&mut self, end: &AttemptEnd) {
        let contact = end.key.contact.get();
        let book = self.books.get_mut(&end.key.campaign).unwrap();
        book.ready.remove(&contact);
        if let ContactNext::Waits { due_at } = end.next {
            let attempts = u32::from(end.result.row().is_attempt);
            book.due.push((due_at, ReadyRecord { attempts, ..record(contact) }));
        }
    }

    fn agent_news(&mut self, agent: AgentId, news: AgentNews) {
        match news {
            AgentNews::State { state, .. } => {
                self.states.insert(agent, state);
                if state == AgentState::Paused {
                    let wait = self.dice(20_000);
                    self.after(wait, Input::Agent(agent, AgentCommand::Ready));
                }
                if state == AgentState::LoggedOut {
                    let wait = self.dice(20_000);
                    self.after(wait, Input::Agent(agent, AgentCommand::LogIn));
                }
            }
            AgentNews::CallEnded(attempt) => {
                let wait = self.dice(8_000);
                let dispose = AgentCommand::Dispose {
                    attempt,
                    code: "success".into(),
                    next: NextAction::Close,
                };
                if self.dice(3) > 0 {
                    self.after(wait, Input::Agent(agent, dispose));
                }
            }
            AgentNews::Preview { .. } => {
                let wait = self.dice(3_000);
                let command = if self.dice(4) == 0 {
                    AgentCommand::SkipPreview { close: self.seed.is_multiple_of(2) }
                } else {
                    AgentCommand::AcceptPreview
                };
                self.after(wait, Input::Agent(agent, command));
            }
            AgentNews::Connected(_) | AgentNews::Refused(_) => {}
        }
    }

    /// One step of virtual time; agents ask for breaks at moments of their own.
    pub(super) fn step(&mut self) {
        let due = self.engine.poll_timeout(self.now.mono);
        let next = self.events.first_key_value().map(|(key, _)| *key);
        match next.filter(|(at, _)| *at <= due) {
            Some(key) => {
                let event = self.events.remove(&key).unwrap();
                self.advance(key.0);
                self.happen(event);
            }
            None => {
                self.advance(due);
                self.input(Input::Tick);
            }
        }
        if self.restless && self.dice(60) == 0 && !self.states.is_empty() {
            let agent = self.some_agent();
            self.input(Input::Agent(agent, AgentCommand::Pause));
        }
        for campaign in self.books.keys().copied().collect::<Vec<_>>() {
            let book = &self.books[&campaign];
            let bursts = match book.adversary {
                Adversary::Random | Adversary::Silent => false,
                Adversary::Burst => true,
                Adversary::Patient => book.total().live_answers >= RICH,
            };
            // Shortly before midnight everyone holds their breath.
            let quiet = self.boundary.is_some_and(|end| {
                self.latest < end && self.latest + Duration::from_secs(20) >= end
            });
            if bursts && !quiet && self.dice(40) == 0 {
                let all = self.dice(3) > 0;
                self.burst(campaign, all);
            }
        }
        if self.meddling && self.dice(80) == 0 {
            self.meddle();
        }
        if self.vanishing && self.dice(100) == 0 {
            self.vanish();
        }
    }

    fn some_agent(&mut self) -> AgentId {
        let all: Vec<AgentId> = self.agents.keys().copied().collect();
        self.chosen(&all)
    }

    fn some_campaign(&mut self) -> CampaignId {
        let all: Vec<CampaignId> = self.books.keys().copied().collect();
        self.chosen(&all)
    }

    /// Managers, trunk and clock.
    fn meddle(&mut self) {
        match self.dice(8) {
            0..=2 => self.change_campaign(),
            3 => {
                let agent = self.some_agent();
                let all: Vec<CampaignId> = self.books.keys().copied().collect();
                let campaigns = match self.dice(6) {
                    0 => Vec::new(),
                    1 | 2 => vec![self.chosen(&all)],
                    3 => all.into_iter().rev().collect(),
                    _ => all,
                };
                let rules = AgentRules { id: agent, version: 2, campaigns };
                self.agents.insert(agent, rules.clone());
                self.input(Input::AgentRules(rules));
            }
            4 => {
                self.trunk.lines = self.chosen(&[3, 40, 10_000]);
                self.trunk.calls_per_second = self.chosen(&[1, 5, 50]);
                self.input(Input::Trunk(self.trunk));
            }
            5 => {
                let live: Vec<AttemptId> = self.live.keys().copied().collect();
                if !live.is_empty() {
                    let attempt = self.chosen(&live);
                    self.input(Input::HangUp(attempt));
                }
            }
            6 => {
                let agent = self.some_agent();
                self.input(Input::Agent(agent, AgentCommand::LogOut));
            }
            _ => self.move_clock(),
        }
    }

    fn change_campaign(&mut self) {
        let campaign = self.some_campaign();
        let mode = self.chosen(&[
            Mode::Predictive,
            Mode::Progressive,
            Mode::Power { ratio_percent: 400 },
            Mode::Preview,
        ]);
        let lines_max = self.chosen(&[2, 10_000, 10_000]);
        let ring = 5 + self.dice(56);
        let state = match self.dice(6) {
            0 => CampaignState::Paused,
            1 => CampaignState::Stopped,
            _ => CampaignState::Running,
        };
        if state != CampaignState::Running {
            let wait = self.dice(20_000);
            self.event(wait, Event::Resume(campaign));
        }
        let book = self.books.get_mut(&campaign).unwrap();
        book.rules.version += 1;
        book.rules.lines_max = lines_max;
        book.rules.ring_timeout = Duration::from_secs(ring);
        // A mode is kept now and then, so that its calls grow many.
        if ring.is_multiple_of(3) {
            book.rules.mode = mode;
        }
        book.state = state;
        let rules = Box::new(book.rules.clone());
        self.input(Input::Campaign(rules, state));
    }

    /// NTP slews a little; a person or a late NTP sets the clock. Forward over a midnight it is not
    /// set while calls are in the air: no launch can know of that, and the engine says `outside`.
    fn move_clock(&mut self) {
        if self.dice(2) == 0 {
            let slew = i64::try_from(self.dice(9_800)).unwrap() - 4_900;
            self.utc_offset_ms = (self.utc_offset_ms + slew).clamp(-10_000, 10_000);
            return;
        }
        let step = 6_000 + i64::try_from(self.dice(60_000)).unwrap();
        let to =
            self.latest + Duration::from_millis(step.unsigned_abs()) + Duration::from_secs(240);
        let safe = self
            .books
            .values()
            .all(|book| to < book.rules.abandon_limit.window_at(self.latest).end);
        self.utc_offset_ms += if safe && self.dice(2) == 0 { step } else { -step };
        let wait = 1_000 + self.dice(3_000);
        self.after(wait, Input::RulesChecked);
    }

    fn vanish(&mut self) {
        let agent = self.some_agent();
        let Some(leg) = self.engine.agents[&agent].leg_up() else { return };
        let relied_on = match &self.engine.agents[&agent].doing {
            Doing::Ready => self.engine.agents[&agent].home,
            Doing::Dialling { attempt } => Some(self.keys[attempt].campaign),
            _ => None,
        };
        if let Some(campaign) = relied_on {
            self.books.get_mut(&campaign).unwrap().vanished += 1;
        }
        if self.dice(2) == 0 {
            self.input(Input::Leg(leg, LegEvent::Ended(LegEnd::Remote)));
        } else {
            self.input(Input::Leg(leg, LegEvent::MediaStale));
            if self.dice(3) > 0 {
                let wait = self.dice(10_000);
                self.leg(wait, leg, LegEvent::MediaFresh);
            }
        }
    }

    pub(super) fn advance(&mut self, to: Mono) {
        let passed = to.since(self.now.mono);
        self.now = self.now.after(passed);
        // Wall time is whole milliseconds; carry what rounding left behind.
        let ms = i64::try_from(self.now.mono.as_micros() / 1_000).unwrap();
        self.now.utc = Utc::from_ms(self.start + ms + self.utc_offset_ms);
    }

    /// Steps until so much time has passed.
    pub(super) fn run_for(&mut self, time: Duration) {
        let until = self.now.mono + time;
        while self.now.mono < until {
            self.step();
        }
    }

    /// Each campaign's limit in each window, by the test's own counters.
    pub(super) fn check(&self) {
        for (campaign, book) in &self.books {
            for (start, tally) in &book.windows {
                let limit = &book.rules.abandon_limit;
                let below = match limit.formula {
                    Formula::LiveAnswers => tally.live_answers,
                    Formula::AbandonedPlusConnected => tally.abandoned + tally.connected,
                };
                let above = tally.abandoned.saturating_sub(book.vanished);
                assert!(
                    u64::from(above) * 1_000_000 <= u64::from(limit.limit_ppm) * u64::from(below),
                    "campaign {campaign:?}, window {start:?}: {} abandons ({} agents vanished) of \
                     {below}, limit {}",
                    tally.abandoned,
                    book.vanished,
                    limit.limit_ppm,
                );
                let counted = self.engine.campaigns[campaign].guard.counted(*start);
                let inside =
                    Tally { abandoned: counted.tally.abandoned - counted.outside, ..counted.tally };
                assert!(!inside.is_over(limit), "over the limit, and not said to be outside");
            }
        }
    }

    /// Faults stop: everyone is at work, everything runs, there is room.
    pub(super) fn settle(&mut self) {
        (self.meddling, self.vanishing, self.restless) = (false, false, false);
        self.trunk.lines = 10_000;
        self.trunk.calls_per_second = 50;
        self.input(Input::Trunk(self.trunk));
        self.input(Input::RulesChecked);
        for agent in self.agents.keys().copied().collect::<Vec<_>>() {
            if self.agents[&agent].campaigns.is_empty() {
                let campaigns = self.books.keys().copied().collect();
                let rules = AgentRules { id: agent, version: 3, campaigns };
                self.agents.insert(agent, rules.clone());
                self.input(Input::AgentRules(rules));
            }
            // The last media of a phone that stays up is there again.
            if let Some(leg) = self.agent_legs.get(&agent).copied() {
                self.input(Input::Leg(leg, LegEvent::MediaFresh));
            }
            self.input(Input::Agent(agent, AgentCommand::LogIn));
            self.input(Input::Agent(agent, AgentCommand::Ready));
        }
        for campaign in self.books.keys().copied().collect::<Vec<_>>() {
            // A campaign with few lines needs few agents; the others are free for the other one.
            let lines_max = self.chosen(&[2, 10_000, 10_000]);
            let book = self.books.get_mut(&campaign).unwrap();
            book.rules.lines_max = lines_max;
            book.adversary = Adversary::Random;
            self.happen(Event::Resume(campaign));
        }
    }

    /// No agent is kept by a call that is gone, no attempt lives for ever, nobody sits idle while a
    /// running campaign of theirs has records.
    pub(super) fn check_alive(&mut self) {
        let now = self.now.mono;
        for (attempt, since) in &self.live {
            assert!(now.since(*since) < Duration::from_secs(300), "{attempt} never ends");
        }
        for (agent, run) in &self.engine.agents {
            if let Doing::Dialling { attempt } | Doing::OnCall { attempt } = run.doing {
                assert!(self.engine.attempts.contains_key(&attempt), "{agent:?} waits for a ghost");
            }
            // An accepted card may wait for a line, where there are few.
            let roomy = |campaign: &CampaignId| self.books[campaign].rules.lines_max > 2;
            let accepted = match &run.doing {
                Doing::Preview { accepted: true, campaign, .. } => roomy(campaign),
                _ => false,
            };
            let supplied = run.rules.campaigns.iter().any(|campaign| {
                let book = &self.books[campaign];
                let taken = self.live.len() + self.agents.len();
                book.state == CampaignState::Running && roomy(campaign) && book.ready.len() > taken
            });
            let served = run.home.is_some_and(|home| {
                let air = self.engine.in_air(home);
                air.in_flight >= air.reserved
            });
            let hungry = run.doing == Doing::Ready && supplied && !served;
            if hungry || accepted {
                let since = *self.hungry_since.entry(*agent).or_insert(now);
                assert!(
                    now.since(since) < Duration::from_secs(15),
                    "{agent:?} is left alone: {run:?}, pacing {:?}",
                    self.engine.campaigns.values().map(|run| run.pacing).collect::<Vec<_>>(),
                );
            } else {
                self.hungry_since.remove(agent);
            }
        }
    }

    pub(super) fn drain(&mut self) {
        self.input(Input::Drain { hurry: false });
        for _ in 0..200_000 {
            if self.engine.is_drained() {
                break;
            }
            self.step();
        }
        assert!(self.engine.is_drained(), "{} calls left", self.engine.calls_live());
        for attempt in &self.launched {
            let ends = self.ended.get(attempt).copied().unwrap_or(0);
            let want = u32::from(!self.refused.contains(attempt));
            assert_eq!(ends, want, "{attempt} ended {ends} times");
        }
    }
}

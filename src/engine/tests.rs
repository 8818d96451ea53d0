//! The engine against an adversary in virtual time: carrier, people and agents do their worst, and
//! what was promised is checked after every step by counters of the test's own.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use proptest::prelude::*;

use super::engine::{Engine, TICK};
use super::input::{AgentCommand, Input, LegEnd, LegEvent, Rest};
use super::output::{AgentNews, Output};
use crate::domain::abandon::AbandonLimit;
use crate::domain::agent::{AgentRules, AgentState};
use crate::domain::attempt::{IntentRefusal, Record};
use crate::domain::call_result::{CallResult, NetworkEnd, Verdict};
use crate::domain::calling_hours::CallingHours;
use crate::domain::campaign::{CampaignRules, CampaignState, Mode};
use crate::domain::contact::{NumberType, ReadyRecord};
use crate::domain::disposition::NextAction;
use crate::domain::ids::{
    AgentId, AttemptId, CampaignId, ContactId, LegId, NumberId, PersonId, TrunkId,
};
use crate::domain::retry::RetryRules;
use crate::domain::time::{Duration, Mono, Now, Utc};
use crate::domain::trunk::TrunkRules;

const CAMPAIGN: CampaignId = CampaignId::new(1);
const TRUNK: TrunkId = TrunkId::new(1);
/// 2026-11-24T12:00:00Z
const NOON: i64 = 1_795_521_600_000;

fn rules(mode: Mode, limit: AbandonLimit) -> CampaignRules {
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

fn us() -> AbandonLimit {
    AbandonLimit::us(Tz::UTC, "2026-01-01".parse().unwrap())
}

fn record(n: i64) -> ReadyRecord {
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

/// How the carrier and the people behave.
#[derive(Debug, Clone, Copy)]
enum Adversary {
    /// Everything at random.
    Random,
    /// Nobody answers until many ring, then all answer in the same instant.
    Burst,
    /// Nobody answers until the log of answers is rich, then as `Burst`.
    Patient,
}

struct World {
    engine: Engine,
    now: Now,
    seed: u64,
    adversary: Adversary,
    events: BTreeMap<(Mono, u64), Input>,
    count: u64,
    utc_offset_ms: i64,
    contacts_left: i64,
    ringing: BTreeSet<AttemptId>,
    // What the test counts by itself.
    answers: u64,
    abandons: u64,
    launched: BTreeSet<AttemptId>,
    intended: BTreeMap<AttemptId, Mono>,
    dialled: BTreeSet<AttemptId>,
    ended: BTreeMap<AttemptId, u32>,
    refused: BTreeSet<AttemptId>,
    on_agent: BTreeMap<LegId, LegId>,
    agent_legs: BTreeMap<AgentId, LegId>,
    states: BTreeMap<AgentId, AgentState>,
    outputs: Vec<Output>,
}

impl World {
    fn new(seed: u64, mode: Mode, limit: AbandonLimit, agents: i64, adversary: Adversary) -> Self {
        let now = Now { mono: Mono::from_micros(1), utc: Utc::from_ms(NOON) };
        let mut world = Self {
            engine: Engine::new(seed),
            now,
            seed: seed | 1,
            adversary,
            events: BTreeMap::new(),
            count: 0,
            utc_offset_ms: 0,
            contacts_left: 4_000,
            ringing: BTreeSet::new(),
            answers: 0,
            abandons: 0,
            launched: BTreeSet::new(),
            intended: BTreeMap::new(),
            dialled: BTreeSet::new(),
            ended: BTreeMap::new(),
            refused: BTreeSet::new(),
            on_agent: BTreeMap::new(),
            agent_legs: BTreeMap::new(),
            states: BTreeMap::new(),
            outputs: Vec::new(),
        };
        let trunk = TrunkRules {
            id: TRUNK,
            version: 1,
            calls_per_second: 50,
            lines: 10_000,
            caller_ids: 2,
        };
        world.input(Input::Trunk(trunk));
        world.input(Input::Campaign(Box::new(rules(mode, limit)), CampaignState::Running));
        for n in 1..=agents {
            let id = AgentId::new(n);
            let rules = AgentRules { id, version: 1, campaigns: vec![CAMPAIGN] };
            world.input(Input::AgentRules(rules));
            world.input(Input::Agent(id, AgentCommand::LogIn));
        }
        world
    }

    fn dice(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound
    }

    fn after(&mut self, ms: u64, input: Input) {
        self.count += 1;
        self.events.insert((self.now.mono + Duration::from_millis(ms), self.count), input);
    }

    fn leg(&mut self, ms: u64, leg: LegId, event: LegEvent) {
        self.after(ms, Input::Leg(leg, event));
    }

    fn input(&mut self, input: Input) {
        if let Input::Leg(leg, LegEvent::Answered) = &input {
            self.ringing.remove(&AttemptId::from_uuid(leg.as_uuid()));
        }
        let outputs = self.engine.handle(self.now, input);
        for output in outputs {
            self.carry_out(output.clone());
            self.outputs.push(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Refill { campaign, limit, .. } => {
                let first = 4_000 - self.contacts_left + 1;
                let n = i64::from(limit).min(self.contacts_left);
                self.contacts_left -= n;
                let records = (first..first + n).map(record).collect();
                let rest = if self.contacts_left == 0 { Rest::Nothing } else { Rest::More };
                self.after(5, Input::Records { campaign, records, rest });
            }
            Output::Intend(intent) => {
                let attempt = intent.key.attempt;
                assert!(self.launched.insert(attempt), "an attempt id twice");
                self.intended.insert(attempt, self.now.mono);
                let wait = if self.dice(50) == 0 { 2_500 } else { 3 + self.dice(40) };
                if self.dice(40) == 0 {
                    self.refused.insert(attempt);
                    self.after(wait, Input::IntentRefused(attempt, IntentRefusal::DoNotCall));
                } else {
                    self.after(wait, Input::Intended(attempt));
                }
            }
            Output::Dial { attempt, .. } => self.dial(attempt),
            Output::Cancel(leg, _) => {
                let crosses = self.dice(30) == 0;
                let wait = self.dice(1_000);
                let attempt = AttemptId::from_uuid(leg.as_uuid());
                if self.ringing.remove(&attempt) || !self.dialled.contains(&attempt) {
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
            Output::HangUp(leg) => {
                let wait = self.dice(200);
                self.leg(wait, leg, LegEvent::Ended(LegEnd::Local));
            }
            Output::Listen(leg) => {
                self.answers += 1;
                self.after(0, Input::Heard(leg, Verdict::NotListened));
            }
            Output::CallAgent(agent, leg) => {
                self.agent_legs.insert(agent, leg);
                self.leg(20, leg, LegEvent::Answered);
                self.leg(60, leg, LegEvent::MediaFresh);
            }
            Output::Bridge { customer, agent } => {
                let before = self.on_agent.insert(agent, customer);
                assert!(before.is_none(), "an agent with two customers");
                let talk = 2_000 + self.dice(60_000);
                if self.dice(3) == 0 {
                    let id = self.agent_legs.iter().find(|(_, leg)| **leg == agent).unwrap().0;
                    self.after(talk, Input::Agent(*id, AgentCommand::HangUp));
                } else {
                    self.leg(talk, customer, LegEvent::Ended(LegEnd::Remote));
                }
            }
            Output::Unbridge(leg) => {
                assert!(self.on_agent.remove(&leg).is_some(), "unbridged without a bridge");
            }
            Output::PlayAbandonMessage(leg, _) => {
                self.abandons += 1;
                self.leg(2_500, leg, LegEvent::Played);
            }
            Output::Record(record) => self.record(record),
            Output::ToAgent(agent, news) => self.agent_news(agent, news),
            Output::Fact(_) | Output::Defer { .. } => {}
        }
    }

    fn dial(&mut self, attempt: AttemptId) {
        let since = self.intended.get(&attempt).expect("dialled without an intent");
        assert!(self.now.mono.since(*since) <= Duration::from_secs(2), "an old intent was dialled");
        assert!(!self.refused.contains(&attempt), "a refused intent was dialled");
        assert!(self.dialled.insert(attempt), "dialled twice");
        self.ringing.insert(attempt);
        let leg = attempt.leg();
        let ring = 200 + self.dice(2_000);
        self.leg(ring, leg, LegEvent::Ringing);
        let patient = matches!(self.adversary, Adversary::Patient) && self.answers < 300;
        if matches!(self.adversary, Adversary::Random) || patient {
            match self.dice(10) {
                0..=3 => {
                    let after = ring + self.dice(15_000);
                    self.leg(after, leg, LegEvent::Answered);
                    if self.dice(6) == 0 {
                        // Hangs up while waiting, or before a verdict.
                        let patience = self.dice(2_500);
                        self.leg(after + patience, leg, LegEvent::Ended(LegEnd::Remote));
                    }
                }
                4..=6 => {
                    let status = [404, 480, 486, 503, 603][usize::try_from(self.dice(5)).unwrap()];
                    let end = NetworkEnd { status: Some(status), ..NetworkEnd::default() };
                    let after = ring + self.dice(5_000);
                    self.leg(after, leg, LegEvent::Failed(end));
                }
                _ => {}
            }
        }
    }

    /// All that ring answer in the same instant.
    fn burst(&mut self) {
        for attempt in std::mem::take(&mut self.ringing) {
            self.leg(0, attempt.leg(), LegEvent::Answered);
        }
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Ended(end) => {
                self.ringing.remove(&end.key.attempt);
                *self.ended.entry(end.key.attempt).or_default() += 1;
                if let Some(count) = end.count {
                    assert!(end.result.row().is_live_answer, "{:?} counted", end.result);
                    let abandoned = [CallResult::Abandoned, CallResult::AbandonedToMessage];
                    assert_eq!(count.abandoned, abandoned.contains(&end.result));
                } else {
                    assert!(!end.result.row().is_live_answer, "{:?} not counted", end.result);
                }
            }
            Record::Disposition(disposition) => {
                let attempt = disposition.key.attempt;
                assert_eq!(self.ended.get(&attempt), Some(&1), "a disposition before its end");
            }
            Record::Answered { .. }
            | Record::Connected { .. }
            | Record::Skipped(_)
            | Record::CampaignFinished { .. } => {}
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
    fn step(&mut self) {
        let due = self.engine.poll_timeout(self.now.mono);
        let next = self.events.first_key_value().map(|(key, _)| *key);
        match next.filter(|(at, _)| *at <= due) {
            Some(key) => {
                let input = self.events.remove(&key).unwrap();
                self.advance(key.0);
                self.input(input);
            }
            None => {
                self.advance(due);
                self.input(Input::Tick);
            }
        }
        if self.dice(60) == 0 && !self.states.is_empty() {
            let n = i64::try_from(self.dice(self.states.len() as u64)).unwrap() + 1;
            self.input(Input::Agent(AgentId::new(n), AgentCommand::Pause));
        }
        let rich = !matches!(self.adversary, Adversary::Patient) || self.answers >= 300;
        if !matches!(self.adversary, Adversary::Random) && rich && self.dice(40) == 0 {
            self.burst();
        }
    }

    fn advance(&mut self, to: Mono) {
        let passed = to.since(self.now.mono);
        self.now = self.now.after(passed);
        // Wall time is whole milliseconds; carry what rounding left behind.
        let ms = i64::try_from(self.now.mono.as_micros() / 1_000).unwrap();
        self.now.utc = Utc::from_ms(NOON + ms + self.utc_offset_ms);
    }

    fn check(&self, limit: &AbandonLimit) {
        assert!(
            self.abandons * 1_000_000 <= u64::from(limit.limit_ppm) * self.answers,
            "{} abandons of {} answers",
            self.abandons,
            self.answers
        );
    }

    fn drain(&mut self) {
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

fn modes() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![
        Mode::Predictive,
        Mode::Progressive,
        Mode::Power { ratio_percent: 400 },
        Mode::Preview,
    ])
}

fn adversaries() -> impl Strategy<Value = Adversary> {
    prop::sample::select(vec![Adversary::Random, Adversary::Burst, Adversary::Patient])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The promise of the product, and with it: one end for each attempt, nothing dialled without a
    /// durable fresh intent, no agent with two customers.
    #[test]
    fn no_launch_can_bring_the_abandon_rate_over_its_limit(
        seed in any::<u64>(), mode in modes(), adversary in adversaries(),
        agents in 1i64..9, limit_ppm in prop::sample::select(vec![5_000u32, 30_000, 100_000]),
    ) {
        let limit = AbandonLimit { limit_ppm, ..us() };
        let mut world = World::new(seed, mode, limit, agents, adversary);
        for _ in 0..6_000 {
            world.step();
            world.check(&limit);
        }
        prop_assert!(world.dialled.len() > 5, "the world dials: {}", world.dialled.len());
        world.drain();
        world.check(&limit);
    }

    /// The state may be written down and read back at any moment without changing what follows.
    #[test]
    fn a_stored_and_reloaded_engine_goes_on_the_same(seed in any::<u64>(), steps in 1usize..600) {
        let mut world = World::new(seed, Mode::Predictive, us(), 4, Adversary::Random);
        for _ in 0..steps {
            world.step();
        }
        let bytes = rmp_serde::to_vec(&world.engine).unwrap();
        let mut again: Engine = rmp_serde::from_slice(&bytes).unwrap();
        prop_assert_eq!(&again, &world.engine);
        let mut original = world.engine.clone();
        let mut now = world.now;
        for n in 0..50 {
            now = now.after(TICK);
            let input = || match n % 3 {
                0 => Input::Tick,
                1 => Input::Agent(AgentId::new(1), AgentCommand::Pause),
                _ => Input::Agent(AgentId::new(1), AgentCommand::Ready),
            };
            prop_assert_eq!(original.handle(now, input()), again.handle(now, input()));
        }
    }
}

#[test]
fn bursts_do_make_abandons_so_the_property_has_something_to_hold() {
    let limit = AbandonLimit { limit_ppm: 100_000, ..us() };
    let mode = Mode::Power { ratio_percent: 400 };
    let mut world = World::new(7, mode, limit, 6, Adversary::Patient);
    for _ in 0..12_000 {
        world.step();
    }
    assert!(world.abandons > 0, "no abandon in {} answers", world.answers);
}

#[test]
fn preview_never_abandons_and_skips_end_without_a_call() {
    let mut world = World::new(3, Mode::Preview, us(), 5, Adversary::Random);
    for _ in 0..5_000 {
        world.step();
    }
    let skipped = world
        .outputs
        .iter()
        .filter(|output| matches!(output, Output::Record(Record::Skipped(_))))
        .count();
    assert_eq!(world.abandons, 0);
    assert!(skipped > 3 && world.dialled.len() > 20, "{skipped} {}", world.dialled.len());
}

#[test]
fn outside_the_calling_hours_records_are_put_off_and_nobody_is_dialled() {
    let mut world = World::new(1, Mode::Progressive, us(), 2, Adversary::Random);
    // Noon in UTC is 14:00 in Kyiv.
    let hours = CallingHours::daily(9 * 60, 14 * 60);
    let late = CampaignRules { calling_hours: hours, ..rules(Mode::Progressive, us()) };
    world.input(Input::Campaign(Box::new(late), CampaignState::Running));
    let before = world.launched.len();
    for _ in 0..300 {
        world.step();
    }
    assert_eq!(world.launched.len(), before);
    let seven = Utc::from_ms(NOON + 19 * 3_600_000);
    assert!(world.outputs.iter().any(|output| matches!(
        output,
        Output::Defer { until, .. } if *until == seven
    )));
}

#[test]
fn a_jump_of_the_wall_clock_stops_dialling_until_the_rules_were_checked() {
    let mut world = World::new(1, Mode::Progressive, us(), 3, Adversary::Random);
    for _ in 0..200 {
        world.step();
    }
    world.utc_offset_ms = -3_600_000;
    // What was handed to the store before the jump is on its way; nothing new is.
    world.step();
    let before = world.launched.len();
    for _ in 0..400 {
        world.step();
    }
    assert_eq!(world.launched.len(), before);
    world.input(Input::RulesChecked);
    for _ in 0..400 {
        world.step();
    }
    assert!(world.launched.len() > before);
}

#[test]
fn an_agent_whose_phone_falls_silent_is_not_relied_upon_and_comes_back() {
    let mut world = World::new(1, Mode::Progressive, us(), 1, Adversary::Burst);
    for _ in 0..10 {
        world.step();
    }
    let agent = AgentId::new(1);
    let leg = world.agent_legs[&agent];
    world.input(Input::Leg(leg, LegEvent::MediaStale));
    assert_eq!(world.states[&agent], AgentState::Connecting);
    world.input(Input::Leg(leg, LegEvent::MediaFresh));
    assert_eq!(world.states[&agent], AgentState::Ready);
    world.input(Input::Leg(leg, LegEvent::Ended(LegEnd::Remote)));
    assert_eq!(world.states[&agent], AgentState::Connecting);
    let until = world.now.mono + Duration::from_secs(5);
    while world.now.mono < until {
        let now = world.now.after(Duration::from_millis(100));
        world.now = now;
        let due = world.events.first_key_value().map(|(key, _)| *key).filter(|k| k.0 <= now.mono);
        match due {
            Some(key) => {
                let input = world.events.remove(&key).unwrap();
                world.input(input);
            }
            None => world.input(Input::Tick),
        }
    }
    assert_ne!(world.agent_legs[&agent], leg, "the phone was called again");
    assert_ne!(world.states[&agent], AgentState::Connecting);
}

/// A world without adversary's dice: one agent of a preview campaign looks at a record.
fn previewing() -> (World, AgentId) {
    let mut world = World::new(1, Mode::Preview, us(), 1, Adversary::Burst);
    let agent = AgentId::new(1);
    world.input(Input::Records {
        campaign: CAMPAIGN,
        records: vec![record(1)],
        rest: Rest::Nothing,
    });
    let leg = world.agent_legs[&agent];
    world.input(Input::Leg(leg, LegEvent::Answered));
    world.input(Input::Leg(leg, LegEvent::MediaFresh));
    assert_eq!(world.states[&agent], AgentState::Preview);
    world.events.clear();
    (world, agent)
}

#[test]
fn a_card_accepted_after_the_hours_have_closed_is_put_off() {
    let (mut world, agent) = previewing();
    // Noon in UTC is 14:00 in Kyiv.
    let hours = CallingHours::daily(9 * 60, 14 * 60);
    let closed = CampaignRules { calling_hours: hours, ..rules(Mode::Preview, us()) };
    world.input(Input::Campaign(Box::new(closed), CampaignState::Running));
    world.input(Input::Agent(agent, AgentCommand::AcceptPreview));
    assert!(world.launched.is_empty());
    assert!(world.outputs.iter().any(|output| matches!(output, Output::Defer { .. })));
    assert_eq!(world.states[&agent], AgentState::Ready);
}

#[test]
fn a_paused_or_stopped_campaign_takes_its_cards_back() {
    for state in [CampaignState::Paused, CampaignState::Stopped] {
        let (mut world, agent) = previewing();
        world.input(Input::Campaign(Box::new(rules(Mode::Preview, us())), state));
        assert_eq!(world.states[&agent], AgentState::Ready, "{state:?}");
    }
}

#[test]
fn a_campaign_whose_last_records_were_put_off_is_not_finished() {
    let mut world = World::new(1, Mode::Progressive, us(), 1, Adversary::Burst);
    let hours = CallingHours::daily(9 * 60, 14 * 60);
    let closed = CampaignRules { calling_hours: hours, ..rules(Mode::Progressive, us()) };
    world.input(Input::Campaign(Box::new(closed), CampaignState::Running));
    let agent = AgentId::new(1);
    let leg = world.agent_legs[&agent];
    world.input(Input::Records {
        campaign: CAMPAIGN,
        records: vec![record(1)],
        rest: Rest::Nothing,
    });
    world.input(Input::Leg(leg, LegEvent::Answered));
    world.input(Input::Leg(leg, LegEvent::MediaFresh));
    assert!(world.outputs.iter().any(|output| matches!(output, Output::Defer { .. })));
    let finished =
        |output: &Output| matches!(output, Output::Record(Record::CampaignFinished { .. }));
    assert!(!world.outputs.iter().any(finished));
}

#[test]
fn a_clock_set_back_between_two_runs_reopens_no_evening() {
    let mut world = World::new(1, Mode::Progressive, us(), 2, Adversary::Random);
    // 22:00 in Kyiv was seen; now it is 14:00 again.
    world.engine = world.engine.clone().after(Some(Utc::from_ms(NOON + 8 * 3_600_000)));
    let hours = CallingHours::daily(9 * 60, 20 * 60);
    let day = CampaignRules { calling_hours: hours, ..rules(Mode::Progressive, us()) };
    world.input(Input::Campaign(Box::new(day), CampaignState::Running));
    for _ in 0..300 {
        world.step();
    }
    assert!(world.launched.is_empty());
}

//! The promise of the product as properties: no launch can bring a window over its limit, whatever
//! carrier, people, agents, managers and clocks do; and nothing stands still for ever.

use chrono_tz::Tz;
use proptest::prelude::*;

use super::world::{Adversary, CAMPAIGN, Event, NOON, World, rules, us};
use crate::domain::abandon::{AbandonLimit, Formula, Tally, WindowKind};
use crate::domain::campaign::{CampaignRules, Mode};
use crate::domain::ids::CampaignId;
use crate::domain::time::{Duration, Utc};

const OTHER: CampaignId = CampaignId::new(2);

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

/// High limits beside lawful ones: what a small team may do under them shows what a large one could.
fn limits() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![5_000u32, 30_000, 100_000, 250_000])
}

/// One campaign of a pair.
#[derive(Debug, Clone)]
struct Side {
    mode: Mode,
    adversary: Adversary,
    limit_ppm: u32,
    ring_s: u64,
    agents: i64,
    /// Records at once, and records that come later.
    records: (i64, i64),
    /// Abandons among 400 answers before the run, if there were any.
    before: Option<u32>,
}

fn sides() -> impl Strategy<Value = Side> {
    let records =
        prop::sample::select(vec![(0, 0), (12, 0), (60, 400), (300, 3_000), (300, 3_000)]);
    let before = prop::option::of(0u32..4);
    (modes(), adversaries(), limits(), 5u64..=60, 0i64..5, records, before).prop_map(
        |(mode, adversary, limit_ppm, ring_s, agents, records, before)| Side {
            mode,
            adversary,
            limit_ppm,
            ring_s,
            agents,
            records,
            before,
        },
    )
}

/// Two campaigns, the agents whom they share, and where the day begins.
#[derive(Debug, Clone)]
struct Pair {
    seed: u64,
    one: Side,
    other: Side,
    shared: i64,
    zone: Tz,
    /// Seconds before the midnight at which both windows end; at noon without.
    before_midnight: Option<u64>,
}

fn pairs() -> impl Strategy<Value = Pair> {
    let zones = prop::sample::select(vec![Tz::UTC, Tz::America__New_York, Tz::Europe__Kyiv]);
    let midnight = prop::option::weighted(0.7, 5u64..200);
    (any::<u64>(), sides(), sides(), 1i64..4, zones, midnight).prop_map(
        |(seed, one, other, shared, zone, before_midnight)| Pair {
            seed,
            one,
            other,
            shared,
            zone,
            before_midnight,
        },
    )
}

impl Pair {
    fn limit(&self, formula: Formula, days: u32, limit_ppm: u32) -> AbandonLimit {
        // Thirty days later it is the 25th of November.
        let first_day = "2026-10-26".parse().unwrap();
        let window = WindowKind::Days { days, first_day };
        AbandonLimit { formula, limit_ppm, window, zone: self.zone, ..us() }
    }

    fn world(&self) -> World {
        let month = self.limit(Formula::LiveAnswers, 30, self.one.limit_ppm);
        let day = self.limit(Formula::AbandonedPlusConnected, 1, self.other.limit_ppm);
        let midnight = month.window_at(Utc::from_ms(NOON)).end;
        assert_eq!(midnight, day.window_at(Utc::from_ms(NOON)).end);
        let start = self
            .before_midnight
            .map_or(NOON, |s| midnight.as_ms() - i64::try_from(s * 1_000).unwrap());
        let mut world = World::empty(self.seed, start);
        for (id, side, limit) in [(CAMPAIGN, &self.one, month), (OTHER, &self.other, day)] {
            let ring_timeout = Duration::from_secs(side.ring_s);
            let rules = CampaignRules {
                id,
                ring_timeout,
                attempts_max: 2,
                legal_zone: self.zone,
                ..rules(side.mode, limit)
            };
            world.campaign(rules, side.adversary, side.records.0, side.records.1);
            if let Some(abandoned) = side.before {
                // As many as the limit allows at most.
                let abandoned = abandoned.min(side.limit_ppm * 380 / 1_000_000);
                let tally = Tally { live_answers: 400, abandoned, connected: 380 - abandoned };
                world.counted_before(id, tally);
            }
        }
        let mut n = 0;
        let mut agents = |world: &mut World, count: i64, campaigns: &[CampaignId]| {
            for _ in 0..count {
                n += 1;
                world.agent(n, campaigns.to_vec());
            }
        };
        agents(&mut world, self.one.agents, &[CAMPAIGN]);
        agents(&mut world, self.other.agents, &[OTHER]);
        agents(&mut world, self.shared, &[CAMPAIGN, OTHER]);
        if self.before_midnight.is_some() {
            world.crosses(midnight);
        }
        world
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// The promise, and with it: one end for each attempt, nothing dialled without a durable fresh
    /// intent, no agent with two customers.
    #[test]
    fn no_launch_can_bring_the_abandon_rate_over_its_limit(
        seed in any::<u64>(), mode in modes(), adversary in adversaries(),
        agents in 1i64..9, limit_ppm in limits(),
    ) {
        let limit = AbandonLimit { limit_ppm, ..us() };
        let mut world = World::new(seed, mode, limit, agents, adversary);
        for _ in 0..6_000 {
            world.step();
            world.check();
        }
        prop_assert!(world.dialled.len() > 5, "the world dials: {}", world.dialled.len());
        world.drain();
        world.check();
    }

    /// Two campaigns, one pool, two laws, over midnight: each campaign's windows hold.
    #[test]
    fn campaigns_that_share_agents_each_keep_their_limit_on_both_sides_of_midnight(pair in pairs()) {
        let mut world = pair.world();
        for _ in 0..4_000 {
            world.step();
            world.check();
        }
        world.drain();
        world.check();
    }

    /// Settings change, campaigns pause and stop, trunks shrink, calls are hung up, clocks move.
    #[test]
    fn whatever_managers_and_clocks_do_the_limit_holds(pair in pairs()) {
        let mut world = pair.world();
        world.meddling = true;
        for _ in 0..4_000 {
            world.step();
            world.check();
        }
        world.drain();
        world.check();
    }

    /// Phones fall silent: over the limit only by what the vanished agents covered, and said so.
    #[test]
    fn agents_who_vanish_cost_no_more_than_they_covered(pair in pairs(), meddling in any::<bool>()) {
        let mut world = pair.world();
        world.vanishing = true;
        world.meddling = meddling;
        for _ in 0..4_000 {
            world.step();
            world.check();
        }
        world.drain();
        world.check();
    }

    /// Once faults stop everything moves again, and a drain comes to its end.
    #[test]
    fn nothing_stands_still_for_ever_once_the_faults_are_over(
        pair in pairs(), faults in 0usize..2_000,
    ) {
        let mut world = pair.world();
        (world.meddling, world.vanishing) = (true, true);
        for _ in 0..faults {
            world.step();
        }
        lives(&mut world);
        world.drain();
    }
}

impl Side {
    fn new(mode: Mode, adversary: Adversary, limit_ppm: u32, ring_s: u64, agents: i64) -> Self {
        Self { mode, adversary, limit_ppm, ring_s, agents, records: (300, 3_000), before: None }
    }
}

const POWER: Mode = Mode::Power { ratio_percent: 400 };

/// Steps with the limit looked at after each; how often a person was abandoned.
fn held(world: &mut World, steps: u32) -> u32 {
    for _ in 0..steps {
        world.step();
        world.check();
    }
    world.abandons()
}

/// The faults stop; from then on nothing stands still.
fn lives(world: &mut World) {
    world.settle();
    let until = world.now.mono + Duration::from_secs(400);
    while world.now.mono < until {
        world.step();
        world.check();
        world.check_alive();
    }
}

/// A quarter may be abandoned: three calls were covered by three agents, the fourth was allowed, and
/// was the only one answered after midnight.
#[test]
fn covered_calls_answered_before_midnight_leave_no_uncovered_one_for_the_day_after() {
    let pair = Pair {
        seed: 1_105_490_297_977_271_096,
        one: Side::new(POWER, Adversary::Patient, 250_000, 40, 1),
        other: Side::new(Mode::Predictive, Adversary::Random, 5_000, 18, 3),
        shared: 2,
        zone: Tz::UTC,
        before_midnight: Some(153),
    };
    held(&mut pair.world(), 4_000);
}

/// The abandon that a vanished agent's cover stood for was within the limit; the one after it was
/// then said to be outside as well.
#[test]
fn a_vanished_agent_accounts_for_one_abandon_and_not_for_two() {
    let pair = Pair {
        seed: 14_217_052_264_057_313_600,
        one: Side::new(POWER, Adversary::Random, 100_000, 46, 3),
        other: Side::new(POWER, Adversary::Burst, 250_000, 20, 3),
        shared: 1,
        zone: Tz::UTC,
        before_midnight: Some(86),
    };
    let mut world = pair.world();
    world.vanishing = true;
    assert!(held(&mut world, 4_000) > 0);
}

/// The preview campaign has no card to show for hours; the other has a list.
#[test]
fn agents_whose_preview_campaign_has_run_dry_serve_their_other_campaign() {
    let preview = Side::new(Mode::Preview, Adversary::Random, 5_000, 5, 0);
    let pair = Pair {
        seed: 89_960_414_584_096_646,
        one: Side {
            records: (60, 400),
            ..Side::new(Mode::Progressive, Adversary::Random, 100_000, 23, 1)
        },
        other: Side { records: (12, 0), ..preview },
        shared: 3,
        zone: Tz::UTC,
        before_midnight: Some(18),
    };
    lives(&mut pair.world());
}

/// One campaign has two lines and more agents than it can use; the other has room.
#[test]
fn agents_for_whom_their_campaign_has_no_line_serve_their_other_campaign() {
    let side =
        Side { records: (60, 400), ..Side::new(Mode::Predictive, Adversary::Patient, 5_000, 7, 0) };
    let pair = Pair {
        seed: 10_565_570_903_490_488_048,
        one: side.clone(),
        other: Side { ring_s: 19, agents: 2, ..side },
        shared: 3,
        zone: Tz::UTC,
        before_midnight: Some(41),
    };
    let mut world = pair.world();
    (world.meddling, world.vanishing) = (true, true);
    for _ in 0..1_752 {
        world.step();
    }
    lives(&mut world);
}

/// Launched when five seconds of ringing could not reach midnight; a minute of it would.
#[test]
fn a_ring_timeout_made_longer_does_not_carry_calls_over_midnight() {
    let limit =
        AbandonLimit { limit_ppm: 250_000, ..AbandonLimit::uk("2026-01-01".parse().unwrap()) };
    let midnight = limit.window_at(Utc::from_ms(NOON)).end;
    let mut world = World::empty(5, midnight.as_ms() - 60_000);
    world.restless = false;
    let short = CampaignRules { ring_timeout: Duration::from_secs(5), ..rules(POWER, limit) };
    world.campaign(short, Adversary::Silent, 300, 0);
    world.counted_before(CAMPAIGN, Tally { live_answers: 400, abandoned: 0, connected: 380 });
    world.agent(1, vec![CAMPAIGN]);
    world.agent(2, vec![CAMPAIGN]);
    // Eight calls are set up for two agents, and none of them rings yet.
    world.run_for(Duration::from_millis(350));
    assert!(world.live.len() > 4, "{} calls for two agents", world.live.len());
    let book = world.books.get_mut(&CAMPAIGN).unwrap();
    book.rules.ring_timeout = Duration::from_secs(60);
    world.happen(Event::Resume(CAMPAIGN));
    world.run_for(Duration::from_millis(60_700));
    world.happen(Event::Burst(CAMPAIGN, true));
    held(&mut world, 200);
    assert!(world.books[&CAMPAIGN].windows.contains_key(&midnight), "answered after midnight");
}

#[test]
fn the_properties_have_something_to_hold_on_both_sides_of_midnight() {
    let (mut one, mut other, mut late, mut outside, mut both) = (0, 0, 0, 0, 0);
    for seed in 1..=40 {
        let pair = Pair {
            seed: seed * 7_919,
            one: Side::new(POWER, Adversary::Burst, 100_000, 30, 2),
            other: Side { before: Some(2), ..Side::new(POWER, Adversary::Patient, 250_000, 20, 2) },
            shared: 3,
            zone: Tz::Europe__Kyiv,
            before_midnight: Some(5 + seed * 4),
        };
        let mut world = pair.world();
        world.vanishing = seed % 2 == 0;
        held(&mut world, 2_500);
        one += world.books[&CAMPAIGN].total().abandoned;
        other += world.books[&OTHER].total().abandoned;
        late += world.late_abandons;
        outside += world.books.values().map(|book| book.outside).sum::<u32>();
        both += u32::from(world.books.values().all(|book| book.windows.len() == 2));
    }
    let seen = (one, other, late, outside, both);
    assert!(one > 20 && other > 20 && late > 0 && outside > 0 && both > 20, "{seen:?}");
}

#[test]
fn a_call_being_cancelled_is_in_the_air_until_its_final_answer() {
    let mut world = World::new(9, POWER, us(), 1, Adversary::Silent);
    for _ in 0..4_000 {
        world.step();
        // Without an answer so far the limit allows one call for the one agent.
        assert!(world.live.len() <= 1, "{} calls", world.live.len());
    }
    assert!(world.dialled.len() > 5);
}

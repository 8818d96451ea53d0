//! The engine against an adversary in virtual time: carrier, people and agents do their worst, and
//! what was promised is checked after every step by counters of the test's own.

mod bound;
mod world;

use proptest::prelude::*;

use super::engine::{Engine, TICK};
use super::input::{AgentCommand, Input, LegEnd, LegEvent, Rest};
use super::output::Output;
use crate::domain::abandon::{AbandonLimit, Tally};
use crate::domain::agent::AgentState;
use crate::domain::attempt::Record;
use crate::domain::calling_hours::CallingHours;
use crate::domain::campaign::{CampaignRules, CampaignState, Mode};
use crate::domain::ids::AgentId;
use crate::domain::time::{Duration, Utc};

use world::{Adversary, CAMPAIGN, Event, NOON, World, record, rules, us};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

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
    assert!(world.abandons() > 0, "no abandon in {} answers", world.answers());
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
    assert_eq!(world.abandons(), 0);
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
    world.run_for(Duration::from_secs(5));
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

#[test]
fn a_night_away_is_no_handling_time() {
    let mut world = World::new(1, Mode::Progressive, us(), 1, Adversary::Random);
    world.restless = false;
    let agent = AgentId::new(1);
    while world.states.get(&agent) != Some(&AgentState::WrapUp) {
        world.step();
    }
    world.events.clear();
    world.input(Input::Agent(agent, AgentCommand::LogOut));
    let learnt = world.engine.campaigns[&CAMPAIGN].statistics.clone();
    world.events.clear();
    world.advance(world.now.mono + Duration::from_secs(8 * 3_600));
    world.input(Input::Agent(agent, AgentCommand::LogIn));
    world.run_for(Duration::from_millis(100));
    assert_ne!(world.states[&agent], AgentState::Connecting, "the phone is there");
    assert_eq!(world.engine.campaigns[&CAMPAIGN].statistics, learnt);
}

#[test]
fn an_abandon_that_a_vanished_agent_had_covered_is_outside_also_below_the_limit() {
    let mut world = World::new(4, Mode::Progressive, us(), 1, Adversary::Silent);
    world.restless = false;
    world.counted_before(CAMPAIGN, Tally { live_answers: 400, abandoned: 0, connected: 400 });
    while world.dialled.is_empty() {
        world.step();
    }
    world.books.get_mut(&CAMPAIGN).unwrap().vanished = 1;
    let leg = world.agent_legs[&AgentId::new(1)];
    world.input(Input::Leg(leg, LegEvent::Ended(LegEnd::Remote)));
    world.happen(Event::Burst(CAMPAIGN, true));
    world.run_for(Duration::from_secs(6));
    assert_eq!((world.abandons(), world.books[&CAMPAIGN].outside), (1, 1));
}

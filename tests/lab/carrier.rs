//! The lab's carrier driven by a scripted caller.

use std::time::Duration;

use campanile::domain::time::{Mono, Now, Utc};
use campanile::lab::carrier::{Carrier, CarrierConfig};
use campanile::lab::carrier_ledger::{CarrierRow, Ender, Heard};
use campanile::lab::clock::{self, Clock};
use campanile::protocols::audio::clip::Clip;
use campanile::protocols::audio::tone::Voice;
use campanile::simulation::population::PopulationParams;

use crate::uac::Uac;

const NUMBER: &str = "+12125550123";

fn clock() -> Clock {
    clock::starting_at(Now { mono: Mono::ZERO, utc: Utc::from_ms(1_767_607_200_000) })
}

/// A population of one kind, in a great hurry.
fn only(change: impl FnOnce(&mut PopulationParams)) -> PopulationParams {
    let mut params = PopulationParams {
        speed: 100.0,
        humans: 0.0,
        machines: 0.0,
        no_answer: 0.0,
        busy: 0.0,
        dead_numbers: 0.0,
        silent: 0.0,
        setup_median_s: 0.01,
        ..PopulationParams::default()
    };
    change(&mut params);
    params
}

fn people() -> PopulationParams {
    only(|params| {
        params.humans = 1.0;
        params.patience_mean_s = 2_000.0;
        params.person_ends = 1.0;
    })
}

async fn start(population: PopulationParams) -> (Carrier, Clock) {
    start_with(CarrierConfig { population, ..CarrierConfig::default() }).await
}

async fn start_with(config: CarrierConfig) -> (Carrier, Clock) {
    let clock = clock();
    (Carrier::start(config, clock.clone()).await.unwrap(), clock)
}

/// The only row of the ledger, once it fits.
async fn row_where(carrier: &Carrier, fits: impl Fn(&CarrierRow) -> bool) -> CarrierRow {
    for _ in 0..200 {
        let ledger = carrier.ledger();
        assert!(ledger.rows.len() <= 1, "{ledger:?}");
        if let Some(row) = ledger.rows.into_values().next().filter(&fits) {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the row never became so: {:?}", carrier.ledger());
}

#[tokio::test]
async fn a_caller_who_hangs_up_finds_the_call_in_the_ledger() {
    let (carrier, _) = start(people()).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    assert_eq!(uac.next().await.status(), Some(100));
    assert_eq!(uac.next().await.status(), Some(180));
    assert_eq!(uac.next().await.status(), Some(200));
    uac.ack().await;
    let row = row_where(&carrier, |row| row.acknowledged).await;
    assert_eq!((row.callee.as_str(), row.nth, row.ended_ms), ("human", 1, None));
    assert_eq!((carrier.live_calls(), carrier.ledger().live), (1, 1));

    uac.bye().await;
    uac.until(200).await;
    let row = row_where(&carrier, |row| row.ended_ms.is_some()).await;
    assert_eq!((row.ended_by, row.heard), (Some(Ender::Caller), Some(Heard::Silence)));
    assert!(row.ringing_ms >= Some(row.invited_ms) && row.answered_ms >= row.ringing_ms);
    assert_eq!(carrier.ledger().sip_finals, [(200, 1)].into());
    assert_eq!((carrier.live_calls(), carrier.ledger().live), (0, 0));
}

#[tokio::test]
async fn a_callee_talks_with_an_agent_and_hangs_up() {
    let (carrier, clock) = start(people()).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    let media = uac.until(200).await.media();
    uac.ack().await;
    let voice = Some(Clip::voice(Voice::Agent));
    let talker = uac.talk(&clock, &media, voice, Duration::from_millis(400)).await;
    assert!(talker.heard().customer > 10, "{:?}", talker.heard());
    let bye = uac.until_request("BYE").await;
    assert!(bye.text.contains("tag=uac"));
    uac.accept(&bye).await;
    let row = row_where(&carrier, |row| row.bye_answered.is_some()).await;
    assert_eq!((row.ended_by, row.heard), (Some(Ender::Callee), Some(Heard::Agent)));
    assert_eq!(row.bye_answered, Some(200));
    assert!(row.connected_ms >= row.answered_ms && row.connected_ms.is_some());
}

#[tokio::test]
async fn byes_that_cross_are_both_sides_hanging_up() {
    let (carrier, _) = start(people()).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    uac.until(200).await;
    uac.ack().await;
    row_where(&carrier, |row| row.acknowledged).await;
    carrier.hang_up_all();
    let bye = uac.until_request("BYE").await;
    uac.bye().await;
    uac.until(200).await;
    uac.accept(&bye).await;
    let row = row_where(&carrier, |row| row.bye_answered.is_some()).await;
    assert_eq!(row.ended_by, Some(Ender::Both));
}

#[tokio::test]
async fn somebody_who_waits_in_silence_loses_patience() {
    let mut population = people();
    population.patience_mean_s = 5.0;
    let (carrier, _) = start(population).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    uac.until(200).await;
    uac.ack().await;
    let bye = uac.until_request("BYE").await;
    uac.accept(&bye).await;
    let row = row_where(&carrier, |row| row.bye_answered.is_some()).await;
    assert_eq!((row.ended_by, row.heard), (Some(Ender::Callee), Some(Heard::Silence)));
    assert_eq!(row.connected_ms, None);
}

#[tokio::test]
async fn an_abandoned_callee_hears_the_message_to_its_end() {
    let mut population = people();
    population.patience_mean_s = 20.0;
    let (carrier, clock) = start(population).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    let media = uac.until(200).await.media();
    uac.ack().await;
    let chime = Some(Clip::chime());
    uac.talk(&clock, &media, chime, Duration::from_millis(2_600)).await;
    uac.bye().await;
    uac.until(200).await;
    let row = row_where(&carrier, |row| row.ended_ms.is_some()).await;
    assert_eq!((row.ended_by, row.heard), (Some(Ender::Caller), Some(Heard::Message)));
}

#[tokio::test]
async fn a_cancelled_call_ends_with_487_repeated_until_its_ack() {
    let (carrier, _) = start(only(|params| params.no_answer = 1.0)).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    uac.until(180).await;
    uac.cancel().await;
    let answer = uac.until(200).await;
    assert!(answer.header("CSeq").ends_with("CANCEL"));
    uac.until(487).await;
    assert_eq!(uac.next_within(Duration::from_secs(1)).await.unwrap().status(), Some(487));
    uac.ack_refusal().await;
    let row = row_where(&carrier, |row| row.acknowledged).await;
    assert_eq!((row.cancelled, row.final_status), (true, Some(487)));
    assert_eq!((row.answered_ms, row.ended_by), (None, None));
    assert_eq!(carrier.ledger().cancelled, 1);
    let more = uac.next_within(Duration::from_millis(1_200)).await;
    assert!(more.is_none(), "{more:?}");
}

#[tokio::test]
async fn a_cancel_may_cross_an_answer() {
    let population = only(|params| params.no_answer = 1.0);
    let config = CarrierConfig { population, crossing: 1.0, ..CarrierConfig::default() };
    let (carrier, _) = start_with(config).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    uac.until(180).await;
    uac.cancel().await;
    assert!(uac.until(200).await.header("CSeq").ends_with("CANCEL"));
    assert!(uac.until(200).await.header("CSeq").ends_with("INVITE"));
    uac.ack().await;
    uac.bye().await;
    uac.until(200).await;
    let row = row_where(&carrier, |row| row.ended_ms.is_some()).await;
    assert_eq!((row.cancelled, row.final_status), (true, Some(200)));
    assert_eq!((row.ended_by, row.acknowledged), (Some(Ender::Caller), true));
}

#[tokio::test]
async fn a_lost_ack_brings_the_200_again_and_a_late_one_still_counts() {
    let (carrier, _) = start(people()).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    let first = uac.until(200).await;
    let again = uac.next().await;
    assert_eq!(first.text, again.text);
    uac.ack().await;
    row_where(&carrier, |row| row.acknowledged).await;
    uac.bye().await;
    uac.until(200).await;
    let row = row_where(&carrier, |row| row.ended_ms.is_some()).await;
    assert_eq!((row.repeated_by_us, row.ack_missing), (1, false));
}

#[tokio::test]
async fn an_invite_that_comes_again_is_answered_again_and_another_one_refused() {
    let (carrier, _) = start(only(|params| params.no_answer = 1.0)).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    uac.until(180).await;
    uac.invite().await;
    assert_eq!(uac.next().await.status(), Some(180));
    uac.cancel().await;
    uac.until(487).await;
    uac.ack_refusal().await;
    let mut twin = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    twin.send("INVITE", 1, "z9hG4bK-other", "").await;
    assert_eq!(twin.next().await.status(), Some(482));
    let ledger = carrier.ledger();
    assert_eq!((ledger.attempts, ledger.repeated_invites, ledger.doubled_invites), (1, 1, 1));
}

#[tokio::test]
async fn refusals_say_what_the_population_says() {
    let (carrier, _) = start(only(|params| params.busy = 1.0)).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    let busy = uac.until(486).await;
    assert_eq!(busy.header("Reason"), "Q.850;cause=17");
    uac.ack_refusal().await;
    row_where(&carrier, |row| row.acknowledged && row.final_status == Some(486)).await;

    let (carrier, _) = start(only(|params| params.dead_numbers = 1.0)).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "b@t").await;
    uac.invite().await;
    uac.next().await;
    let dead = uac.next().await.status();
    assert!(matches!(dead, Some(404 | 410)), "{dead:?}");
    uac.ack_refusal().await;
}

#[tokio::test]
async fn a_carrier_that_never_replies_sends_nothing_at_all() {
    let (carrier, _) = start(only(|params| params.silent = 1.0)).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    uac.invite().await;
    let reply = uac.next_within(Duration::from_millis(700)).await;
    assert!(reply.is_none(), "{reply:?}");
    let row = row_where(&carrier, |row| row.repeated_invites == 1).await;
    assert_eq!((row.callee.as_str(), row.final_status), ("no_reply", None));
}

#[tokio::test]
async fn early_media_comes_with_a_description() {
    let population = only(|params| params.no_answer = 1.0);
    let config = CarrierConfig { population, early_media: 1.0, ..CarrierConfig::default() };
    let (carrier, _) = start_with(config).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    let progress = uac.until(183).await;
    assert_eq!(progress.media().remote.ip(), carrier.local_addr().ip());
}

#[tokio::test]
async fn what_belongs_to_no_call_is_answered_and_counted() {
    let (carrier, _) = start(people()).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.send("OPTIONS", 1, "z9hG4bK-o", "").await;
    assert_eq!(uac.next().await.status(), Some(200));
    uac.bye().await;
    assert_eq!(uac.next().await.status(), Some(481));
    uac.raw(b"this is not SIP\r\n\r\n").await;
    uac.send("OPTIONS", 2, "z9hG4bK-p", "").await;
    uac.next().await;
    let ledger = carrier.ledger();
    assert_eq!((ledger.strays, ledger.malformed, ledger.attempts), (1, 1, 0));
}

#[tokio::test]
async fn an_agent_hears_a_machine_as_neither_voice_nor_silence() {
    let population = only(|params| {
        params.machines = 1.0;
        params.speed = 10.0;
    });
    let (carrier, clock) = start(population).await;
    let mut uac = Uac::new(carrier.local_addr(), NUMBER, "a@t").await;
    uac.invite().await;
    let media = uac.until(200).await.media();
    uac.ack().await;
    let heard = uac.talk(&clock, &media, None, Duration::from_millis(300)).await.heard();
    assert!(heard.other > 5 && heard.customer == 0, "{heard:?}");
}

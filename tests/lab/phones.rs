//! The lab's phones driven by a scripted caller.

use std::time::Duration;

use campanile::domain::time::{Mono, Now, Utc};
use campanile::lab::agent_phone::{AgentPhones, PhoneRow, PhonesConfig};
use campanile::lab::carrier_ledger::Ender;
use campanile::lab::clock::{self, Clock};
use campanile::protocols::audio::clip::Clip;
use campanile::protocols::audio::tone::Voice;

use crate::uac::{Incoming, Uac};

async fn start(phones: u32) -> (AgentPhones, Clock) {
    let clock = clock::starting_at(Now { mono: Mono::ZERO, utc: Utc::from_ms(1_767_607_200_000) });
    let config = PhonesConfig { phones, ..PhonesConfig::default() };
    (AgentPhones::start(config, clock.clone()).await.unwrap(), clock)
}

async fn call(phones: &AgentPhones, user: &str, call_id: &str) -> (Uac, Incoming) {
    let mut uac = Uac::new(phones.local_addr(), user, call_id).await;
    uac.invite().await;
    let answer = uac.next().await;
    (uac, answer)
}

async fn row_where(phones: &AgentPhones, id: &str, fits: impl Fn(&PhoneRow) -> bool) -> PhoneRow {
    for _ in 0..200 {
        if let Some(row) = phones.ledger().rows.remove(id).filter(&fits) {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the row never became so: {:?}", phones.ledger());
}

#[tokio::test]
async fn a_phone_answers_at_once_talks_and_hears_the_callee() {
    let (phones, clock) = start(2).await;
    let (mut uac, answer) = call(&phones, "agent2", "a@t").await;
    assert_eq!(answer.status(), Some(200));
    uac.ack().await;
    assert!(phones.is_up(2) && !phones.is_up(1));
    let voice = Some(Clip::voice(Voice::Customer));
    let talker = uac.talk(&clock, &answer.media(), voice, Duration::from_millis(500)).await;
    assert!(talker.heard().agent > 15, "{:?}", talker.heard());
    assert!(phones.heard(2).customer > 15, "{:?}", phones.heard(2));
    uac.bye().await;
    uac.until(200).await;
    let row = row_where(&phones, "a@t", |row| row.ended_ms.is_some()).await;
    assert_eq!((row.phone, row.ended_by, row.acknowledged), (2, Some(Ender::Caller), true));
    assert!(row.frames.customer > 15);
    assert_eq!((phones.live_legs(), phones.ledger().live), (0, 0));
}

#[tokio::test]
async fn a_vanished_phone_answers_nothing_until_it_comes_back() {
    let (phones, clock) = start(1).await;
    let (mut uac, answer) = call(&phones, "agent1", "a@t").await;
    uac.ack().await;
    row_where(&phones, "a@t", |row| row.acknowledged).await;
    phones.vanish(1);
    let silence = uac.talk(&clock, &answer.media(), None, Duration::from_millis(300)).await;
    assert!(silence.counts().packets < 10, "{:?}", silence.counts());
    uac.bye().await;
    let reply = uac.next_within(Duration::from_millis(300)).await;
    assert!(reply.is_none(), "{reply:?}");
    assert!(row_where(&phones, "a@t", |row| row.ended_ms.is_some()).await.vanished);

    let mut second = Uac::new(phones.local_addr(), "agent1", "b@t").await;
    second.invite().await;
    assert!(second.next_within(Duration::from_millis(300)).await.is_none());
    phones.come_back(1);
    second.invite().await;
    assert_eq!(second.next().await.status(), Some(200));
}

#[tokio::test]
async fn a_phone_hangs_up_when_told_to() {
    let (phones, _) = start(1).await;
    let (mut uac, _) = call(&phones, "agent1", "a@t").await;
    uac.ack().await;
    row_where(&phones, "a@t", |row| row.acknowledged).await;
    phones.hang_up(1);
    let bye = uac.until_request("BYE").await;
    uac.accept(&bye).await;
    let row = row_where(&phones, "a@t", |row| row.ended_ms.is_some()).await;
    assert_eq!(row.ended_by, Some(Ender::Callee));
}

#[tokio::test]
async fn a_muted_phone_sends_no_voice_until_it_talks_again() {
    let (phones, clock) = start(1).await;
    let (uac, answer) = call(&phones, "agent1", "a@t").await;
    uac.ack().await;
    phones.mute(1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let sent = phones.heard(1).sent;
    let params = answer.media();
    uac.talk(&clock, &params, None, Duration::from_millis(200)).await;
    assert_eq!(phones.heard(1).sent, sent);
    phones.unmute(1);
    uac.talk(&clock, &params, None, Duration::from_millis(200)).await;
    assert!(phones.heard(1).sent > sent + 5);
}

#[tokio::test]
async fn a_newer_call_takes_the_phone_and_the_older_one_is_ended() {
    let (phones, _) = start(1).await;
    let (mut old, _) = call(&phones, "agent1", "a@t").await;
    old.ack().await;
    row_where(&phones, "a@t", |row| row.acknowledged).await;
    let (new, answer) = call(&phones, "agent1", "b@t").await;
    assert_eq!(answer.status(), Some(200));
    new.ack().await;
    let bye = old.until_request("BYE").await;
    old.accept(&bye).await;
    assert_eq!((phones.live_legs(), phones.ledger().live), (1, 1));
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let (phones, _) = start(1).await;
    for user in ["agent9", "somebody"] {
        let (uac, answer) = call(&phones, user, user).await;
        assert_eq!(answer.status(), Some(404));
        uac.ack_refusal().await;
    }
    assert_eq!(phones.ledger().legs, 0);
}

//! Legs of a process that died, ended by the next one.

use super::*;

/// What the process before had sent, and what its successor knows of it.
fn crashed(answered: bool) -> (Request, Orphan) {
    let mut before = World::seeded(1);
    let mut orphan = invite_to(1, &[("Route", "<sip:edge;lr>")]).orphan(addr(LOCAL));
    before.command(Command::Invite(invite_to(1, &[("Route", "<sip:edge;lr>")])));
    let invite = before.request();
    if answered {
        before.receive(&ok(&invite, "callee"));
        let Event::Answered { dialog, .. } = before.events.remove(0) else { panic!() };
        orphan.dialog = Some(*dialog);
    }
    (invite, orphan)
}

fn adopt(orphan: Orphan) -> World {
    let mut world = World::seeded(2);
    world.command(Command::Orphan(Box::new(orphan)));
    world
}

fn end(world: &mut World) -> OrphanEnd {
    match world.events().as_slice() {
        [Event::OrphanEnded { how, leg: ended }] if *ended == leg(1) => *how,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_cancel_of_another_process_repeats_the_invite_to_the_letter() {
    let (invite, orphan) = crashed(false);
    let cancel = adopt(orphan).request();
    assert_eq!((cancel.method, &cancel.uri), (Method::CANCEL, &invite.uri));
    for name in ["Via", "From", "To", "Call-ID", "Route"] {
        assert_eq!(cancel.headers.get(name), invite.headers.get(name), "{name}");
    }
    assert_eq!(cancel.common.cseq.number, invite.common.cseq.number);
}

#[test]
fn what_a_successor_must_know_survives_being_written_down() {
    let (_, orphan) = crashed(true);
    let bytes = rmp_serde::to_vec_named(&orphan).unwrap();
    assert_eq!(rmp_serde::from_slice::<Orphan>(&bytes).unwrap(), orphan);
}

#[test]
fn a_leg_the_carrier_never_saw_is_never_known() {
    let (_, orphan) = crashed(false);
    let mut world = adopt(orphan);
    let cancel = world.request();
    world.receive(&cancel.answer(481, Some("x")));
    assert_eq!(end(&mut world), OrphanEnd::NeverKnown);
    world.assert_forgets();
}

#[test]
fn a_leg_that_was_ringing_is_cancelled_and_its_refusal_acknowledged() {
    let (invite, orphan) = crashed(false);
    let mut world = adopt(orphan);
    let cancel = world.request();
    world.receive(&cancel.answer(200, Some("callee")));
    world.receive(&invite.answer(487, Some("callee")));
    let ack = world.request();
    assert_eq!((ack.method, ack.common.via.branch()), (Method::ACK, invite.common.via.branch()));
    assert_eq!(end(&mut world), OrphanEnd::CancelledBeforeAnswer { status: 487 });
    world.receive(&invite.answer(487, Some("callee")));
    assert_eq!(world.request().method, Method::ACK);
    world.assert_forgets();
}

#[test]
fn a_leg_that_is_answered_while_we_cancel_is_acknowledged_and_ended() {
    let (invite, orphan) = crashed(false);
    let mut world = adopt(orphan);
    world.requests();
    world.receive(&ok(&invite, "callee"));
    let [ack, bye] = world.requests().try_into().unwrap();
    assert_eq!((ack.method, &bye.method), (Method::ACK, &Method::BYE));
    world.receive(&bye.answer(200, None));
    assert_eq!(end(&mut world), OrphanEnd::EndedByUs);
    world.assert_forgets();
}

#[test]
fn a_leg_whose_answer_was_not_durable_is_ended_by_the_tag_of_the_cancels_answer() {
    let (_, orphan) = crashed(false);
    let mut world = adopt(orphan);
    let cancel = world.request();
    world.receive(&cancel.answer(200, Some("callee")));
    world.pass(secs(4));
    let bye = world.request();
    assert_eq!((&bye.method, bye.common.to.tag()), (&Method::BYE, Some("callee")));
    world.receive(&bye.answer(200, None));
    assert_eq!(end(&mut world), OrphanEnd::EndedByUs);
    world.assert_forgets();
}

#[test]
fn a_leg_that_was_refused_before_the_crash_is_over_as_soon_as_the_far_side_says_so() {
    let (_, orphan) = crashed(false);
    let mut world = adopt(orphan);
    let cancel = world.request();
    // Its transaction is remembered, its final response was acknowledged and does not come again.
    world.receive(&cancel.answer(200, Some("callee")));
    world.pass(secs(4));
    let bye = world.request();
    world.receive(&bye.answer(481, None));
    assert_eq!(end(&mut world), OrphanEnd::EndedByThem);
    world.assert_forgets();
}

#[test]
fn a_known_dialog_is_ended_with_the_next_request_number() {
    for (status, want) in [(200, OrphanEnd::EndedByUs), (481, OrphanEnd::EndedByThem)] {
        let (_, orphan) = crashed(true);
        let mut world = adopt(orphan);
        let bye = world.request();
        assert_eq!((&bye.method, bye.common.cseq.number), (&Method::BYE, 2));
        assert_eq!(bye.common.to.tag(), Some("callee"));
        world.receive(&bye.answer(status, None));
        assert_eq!(end(&mut world), want);
        world.assert_forgets();
    }
}

#[test]
fn a_bye_of_theirs_ends_the_leg_whatever_we_know_of_it() {
    for answered in [true, false] {
        let (invite, orphan) = crashed(answered);
        let mut world = adopt(orphan);
        world.requests();
        if answered {
            world.receive_from(STRANGER, &from_callee(&invite, "guess", "1 BYE").to_bytes());
            assert!(world.sent.is_empty());
        }
        world.receive(&from_callee(&invite, "callee", "1 BYE"));
        assert_eq!(world.response().status, 200);
        assert_eq!(end(&mut world), OrphanEnd::EndedByThem);
    }
}

#[test]
fn a_silent_carrier_is_given_up_after_32_s() {
    for answered in [true, false] {
        let mut world = adopt(crashed(answered).1);
        world.pass(secs(32));
        assert_eq!(end(&mut world), OrphanEnd::Silent);
        world.assert_forgets();
    }
}

#[test]
fn an_answer_nobody_waits_for_is_acknowledged_and_ended_once() {
    let (invite, _) = crashed(false);
    let mut world = World::seeded(2);
    world.receive(&ok(&invite, "callee"));
    let [ack, bye] = world.requests().try_into().unwrap();
    assert_eq!((ack.method, ack.common.cseq.number), (Method::ACK, 1));
    assert_eq!((&bye.method, bye.common.cseq.number), (&Method::BYE, 2));
    world.receive(&ok(&invite, "callee"));
    assert_eq!(world.request().method, Method::ACK);
    world.receive(&bye.answer(200, None));
    assert_eq!(world.count(Counter::StrayFinal), 2);
    assert!(world.events().is_empty());
    world.assert_forgets();
}

#[test]
fn a_refusal_nobody_waits_for_is_acknowledged() {
    let (invite, _) = crashed(false);
    let mut world = World::seeded(2);
    world.receive(&invite.answer(486, Some("callee")));
    let ack = world.request();
    assert_eq!((ack.method, ack.common.via.branch()), (Method::ACK, invite.common.via.branch()));
    assert!(world.endpoint.is_idle());
}

#[test]
fn an_answer_with_a_forged_tag_or_branch_moves_nothing() {
    let (invite, _) = crashed(false);
    let text = String::from_utf8(ok(&invite, "callee").to_bytes()).unwrap();
    let tag = invite.common.from.tag().unwrap();
    let mut world = World::seeded(2);
    world.receive_from(STRANGER, text.replace(tag, "0000000000000000").as_bytes());
    world.receive_from(STRANGER, text.replace(".1i", ".7i").as_bytes());
    assert!(world.sent.is_empty());
    assert_eq!(world.count(Counter::StrayResponse), 2);
}

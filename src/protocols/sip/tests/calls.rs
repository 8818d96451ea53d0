//! One call from INVITE to its end: answers, refusals, CANCEL and its races, BYE both ways.

use super::*;

fn failure(world: &mut World) -> Failure {
    match world.events().as_slice() {
        [Event::Failed { failure, .. }] => failure.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answered_call_is_acknowledged_and_ended_where_the_contact_says() {
    let mut world = World::new();
    let invite = world.dial(1);
    assert_eq!(invite.uri, "sip:+12025550100@198.51.100.1");
    assert_eq!(invite.headers.get("Content-Type"), Some("application/sdp"));
    world.receive(&invite.answer(180, Some("callee")));
    let contact = "<sip:callee@198.51.100.9:5090;x=y>";
    let answer = invite.answer(200, Some("callee")).header("Contact", contact).sdp(ANSWER);
    world.receive(&answer);
    assert_eq!(world.sent[0].0, addr("198.51.100.9:5090"));
    let ack = world.request();
    assert_eq!((ack.method, ack.uri.as_str()), (Method::ACK, "sip:callee@198.51.100.9:5090;x=y"));
    assert_eq!((ack.common.cseq.number, ack.common.to.tag()), (1, Some("callee")));
    assert_ne!(ack.common.via.branch(), invite.common.via.branch());
    let events = world.events();
    assert_eq!(events[0], Event::Progress { leg: leg(1), status: 180, sdp: None });
    let Event::Answered { sdp, dialog, .. } = &events[1] else { panic!("{events:?}") };
    assert_eq!((sdp.as_slice(), dialog.remote_tag.as_str()), (ANSWER, "callee"));

    world.bye(1);
    let bye = world.request();
    assert_eq!((&bye.method, bye.common.cseq.number), (&Method::BYE, 2));
    assert_eq!(bye.q850().map(|q| q.cause), Some(16));
    world.receive(&bye.answer(200, None));
    let by = EndedBy::Us;
    assert_eq!(world.events(), [Event::Ended { leg: leg(1), by, reason: None }]);
    world.assert_forgets();
}

#[test]
fn a_bye_of_theirs_ends_the_call_once_and_repeats_get_the_same_answer() {
    let mut world = World::new();
    let invite = world.talk(1);
    let bye = from_callee(&invite, "callee", "7 BYE").header("Reason", "Q.850;cause=16");
    world.receive(&bye);
    let first = world.sent.clone();
    assert_eq!(world.response().status, 200);
    world.receive(&bye);
    assert_eq!(world.sent, first);
    let reason = Some(Q850 { cause: 16, text: None });
    assert_eq!(world.events(), [Event::Ended { leg: leg(1), by: EndedBy::Them, reason }]);
    world.sent.clear();
    world.receive(&from_callee(&invite, "callee", "8 BYE"));
    assert_eq!(world.response().status, 481);
    world.assert_forgets();
}

#[test]
fn a_refusal_is_acknowledged_and_told_with_all_its_evidence() {
    let mut world = World::new();
    let invite = world.dial(1);
    let refusal = invite
        .response(503, "Kein Kanal", Some("t"))
        .header("Reason", "SIP;cause=503, Q.850;cause=34;text=\"No circuit\"")
        .header("Retry-After", "30 (busy hour)");
    world.receive(&refusal);
    let ack = world.request();
    assert_eq!((&ack.method, &ack.uri), (&Method::ACK, &invite.uri));
    assert_eq!(ack.common.via.branch(), invite.common.via.branch());
    assert_eq!(ack.common.to.tag(), Some("t"));
    let want = Failure {
        status: Some(503),
        phrase: "Kein Kanal".into(),
        q850: Some(34),
        reason_protocol: Some("SIP;cause=503, Q.850;cause=34;text=\"No circuit\"".into()),
        retry_after_s: Some(30),
        cancelled_by_us: false,
        kind: FailureKind::Final,
    };
    assert_eq!(failure(&mut world), want);
    world.receive(&refusal);
    assert_eq!(world.request().method, Method::ACK);
    assert!(world.events().is_empty());
    world.assert_forgets();
}

#[test]
fn an_invite_nobody_answers_fails_after_timer_b() {
    let mut world = World::new();
    world.dial(1);
    world.pass(secs(32));
    assert_eq!(world.requests().len(), 6);
    assert_eq!(failure(&mut world).kind, FailureKind::TransactionTimeout);
    world.assert_forgets();
}

#[test]
fn a_cancel_waits_for_the_first_provisional_response_and_repeats_the_invite() {
    let mut world = World::new();
    let invite = world.dial(1);
    world.cancel(1);
    assert!(world.sent.is_empty());
    world.receive(&invite.answer(100, None));
    let cancel = world.request();
    assert_eq!((&cancel.method, &cancel.uri), (&Method::CANCEL, &invite.uri));
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.headers.get(name), invite.headers.get(name), "{name}");
    }
    assert_eq!(cancel.headers.get("CSeq"), Some("1 CANCEL"));
    assert_eq!(cancel.q850().map(|q| q.cause), Some(19));
    world.receive(&cancel.answer(200, Some("t")));
    world.receive(&invite.answer(487, Some("t")));
    assert_eq!(world.request().method, Method::ACK);
    let failure = failure(&mut world);
    assert!(failure.cancelled_by_us);
    assert_eq!((failure.status, failure.kind), (Some(487), FailureKind::Final));
    world.assert_forgets();
}

#[test]
fn a_cancel_of_an_invite_that_never_arrived_ends_with_timer_b() {
    let mut world = World::new();
    world.dial(1);
    world.cancel(1);
    world.pass(secs(32));
    assert!(world.requests().iter().all(|r| r.method == Method::INVITE));
    let failure = failure(&mut world);
    assert!(failure.cancelled_by_us);
    assert_eq!((failure.status, failure.kind), (None, FailureKind::TransactionTimeout));
    world.assert_forgets();
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_ended_and_counted() {
    for provisional in [true, false] {
        let mut world = World::new();
        let invite = world.dial(1);
        if provisional {
            world.receive(&invite.answer(180, Some("callee")));
        }
        world.cancel(1);
        world.requests();
        world.receive(&ok(&invite, "callee"));
        let [ack, bye] = world.requests().try_into().unwrap();
        assert_eq!((ack.method, &bye.method), (Method::ACK, &Method::BYE));
        assert!(world.events().iter().all(|e| matches!(e, Event::Progress { .. })));
        world.receive(&bye.answer(200, None));
        let by = EndedBy::CancelCrossedAnswer;
        assert_eq!(world.events(), [Event::Ended { leg: leg(1), by, reason: None }]);
        assert_eq!(world.count(Counter::CancelCrossed2xx), 1);
        world.assert_forgets();
    }
}

#[test]
fn a_call_whose_cancel_brings_no_final_response_fails_and_its_late_answer_is_still_ended() {
    let mut world = World::new();
    let invite = world.dial(1);
    world.receive(&invite.answer(180, Some("callee")));
    world.cancel(1);
    let cancel = world.request();
    world.receive(&cancel.answer(200, Some("callee")));
    world.events();
    world.pass(secs(32));
    assert_eq!(failure(&mut world).kind, FailureKind::TransactionTimeout);
    world.sent.clear();
    world.receive(&ok(&invite, "callee"));
    let [ack, bye] = world.requests().try_into().unwrap();
    assert_eq!((ack.method, &bye.method), (Method::ACK, &Method::BYE));
    assert_eq!(ack.common.to.tag(), Some("callee"));
    world.receive(&bye.answer(200, None));
    assert!(world.events().is_empty());
    world.assert_forgets();
}

#[test]
fn a_cancel_nobody_answers_ends_the_call_after_32_s_and_leaves_nothing() {
    let mut world = World::new();
    let invite = world.dial(1);
    world.receive(&invite.answer(100, None));
    world.cancel(1);
    world.pass(secs(32));
    assert_eq!(world.requests().len(), 11);
    assert!(failure(&mut world).cancelled_by_us);
    assert!(world.endpoint.is_idle());
}

#[test]
fn a_repeated_answer_gets_the_same_ack_even_after_timer_m() {
    let mut world = World::new();
    let invite = world.dial(1);
    world.receive(&ok(&invite, "callee"));
    let ack = std::mem::take(&mut world.sent);
    for wait in [1, 40] {
        world.pass(secs(wait));
        world.receive(&ok(&invite, "callee"));
        assert_eq!(std::mem::take(&mut world.sent), ack);
    }
    assert_eq!(world.events().len(), 1);
    assert_eq!(world.count(Counter::RetransmissionReceived), 2);
}

#[test]
fn the_second_answer_of_a_fork_is_acknowledged_and_ended_and_the_first_goes_on() {
    let mut world = World::new();
    let invite = world.talk(1);
    world.receive(&ok(&invite, "other"));
    let [ack, bye] = world.requests().try_into().unwrap();
    assert_eq!((ack.method, ack.common.to.tag()), (Method::ACK, Some("other")));
    assert_eq!((&bye.method, bye.common.to.tag()), (&Method::BYE, Some("other")));
    world.receive(&bye.answer(200, None));
    assert!(world.events().is_empty());
    assert_eq!(world.count(Counter::Forked2xx), 1);
    world.bye(1);
    assert_eq!(world.request().common.to.tag(), Some("callee"));
}

#[test]
fn byes_that_cross_are_both_answered_and_the_call_ends_once() {
    let mut world = World::new();
    let invite = world.talk(1);
    world.bye(1);
    let ours = world.request();
    world.receive(&from_callee(&invite, "callee", "7 BYE"));
    assert_eq!(world.response().status, 200);
    world.receive(&ours.answer(481, None));
    let by = EndedBy::Us;
    assert_eq!(world.events(), [Event::Ended { leg: leg(1), by, reason: None }]);
    assert_eq!(world.count(Counter::CrossedBye), 1);
    world.assert_forgets();
}

#[test]
fn a_bye_nobody_answers_is_lost_after_timer_f() {
    let mut world = World::new();
    world.talk(1);
    world.bye(1);
    world.pass(secs(32));
    assert_eq!(world.requests().len(), 11);
    let by = EndedBy::Lost;
    assert_eq!(world.events(), [Event::Ended { leg: leg(1), by, reason: None }]);
    world.assert_forgets();
}

#[test]
fn a_cancel_that_comes_after_the_answer_is_a_bye() {
    let mut world = World::new();
    world.talk(1);
    world.cancel(1);
    assert_eq!(world.request().method, Method::BYE);
}

#[test]
fn a_call_that_rings_forever_is_taken_back_at_our_limit() {
    let mut world = World::new();
    let invite = world.dial(1);
    world.receive(&invite.answer(180, Some("callee")));
    world.events();
    world.pass(uac_call::PROCEEDING_MAX);
    let cancel = world.request();
    assert_eq!(cancel.method, Method::CANCEL);
    world.receive(&invite.answer(487, Some("callee")));
    let failure = failure(&mut world);
    assert_eq!((failure.status, failure.kind), (Some(487), FailureKind::NoProgress));
}

#[test]
fn a_datagram_the_socket_refuses_fails_the_call() {
    let mut world = World::new();
    world.command(Command::Invite(invite_to(1, &[])));
    let (_, bytes) = world.sent.remove(0);
    world.endpoint.handle_send_error(world.now, &bytes);
    world.collect();
    assert_eq!(failure(&mut world).kind, FailureKind::TransportError);
    world.assert_forgets();
}

#[test]
fn record_routes_and_trunk_headers_are_written_where_they_belong() {
    let mut world = World::new();
    let headers = [("Route", "<sip:edge;lr>"), ("X-Account", "7")];
    world.command(Command::Invite(invite_to(1, &headers)));
    let invite = world.request();
    assert_eq!(invite.headers.get("X-Account"), Some("7"));
    world.receive(&invite.answer(180, Some("callee")));
    world.cancel(1);
    assert_eq!(world.request().headers.get("Route"), Some("<sip:edge;lr>"));
    let answer = ok(&invite, "callee")
        .header("Record-Route", "<sip:198.51.100.7;lr>, <sip:198.51.100.8:5070;lr;vsf=AA==>");
    world.receive(&answer);
    assert!(world.sent.iter().all(|(to, _)| *to == addr("198.51.100.8:5070")));
    for request in world.requests() {
        let routes: Vec<_> = request.headers.list("Route").collect();
        assert_eq!(routes, ["<sip:198.51.100.8:5070;lr;vsf=AA==>", "<sip:198.51.100.7;lr>"]);
        assert_eq!(request.uri, "sip:callee@198.51.100.1:5060");
        assert!(request.headers.get("X-Account").is_none());
    }
}

#[test]
fn a_profile_for_nat_keeps_to_the_trunks_address() {
    let mut world = World::new();
    let in_dialog_to = profile::InDialogTo::Trunk;
    let profile = Arc::new(Profile { in_dialog_to, ..Profile::default() });
    world.command(Command::Invite(Invite { profile, ..invite_to(1, &[]) }));
    let invite = world.request();
    world.receive(&invite.answer(200, Some("t")).header("Contact", "<sip:10.0.0.1>").sdp(ANSWER));
    assert_eq!(world.sent[0].0, addr(CARRIER));
    assert_eq!(world.request().uri, "sip:10.0.0.1");
}

#[test]
fn early_media_is_told_with_its_description() {
    let mut world = World::new();
    let invite = world.dial(1);
    world.receive(&invite.answer(183, Some("callee")).sdp(ANSWER));
    let sdp = Some(ANSWER.to_vec());
    assert_eq!(world.events(), [Event::Progress { leg: leg(1), status: 183, sdp }]);
}

#[test]
fn a_leg_is_dialled_once() {
    let mut world = World::new();
    world.dial(1);
    world.command(Command::Invite(invite_to(1, &[])));
    assert!(world.sent.is_empty() && world.events.is_empty());
    assert_eq!(world.count(Counter::DuplicateLeg), 1);
}

#[test]
fn options_tell_the_status_or_silence() {
    let mut world = World::new();
    let target = Target { addr: addr(CARRIER), uri: "sip:198.51.100.1".into() };
    world.command(Command::Options { id: 5, target: target.clone() });
    let options = world.request();
    world.receive(&options.answer(404, Some("t")));
    world.command(Command::Options { id: 6, target });
    world.pass(secs(32));
    let answered = |id, status| Event::OptionsAnswered { id, status };
    assert_eq!(world.events(), [answered(5, Some(404)), answered(6, None)]);
    world.assert_forgets();
}

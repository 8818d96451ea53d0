//! Requests of the callee inside a dialog, and who may send them.

use super::*;

#[test]
fn each_request_inside_a_call_gets_the_answer_that_leaves_the_call_as_it_is() {
    let mut world = World::new();
    let invite = world.talk(1);
    let cases = [
        ("1 INVITE", 488),
        ("2 OPTIONS", 200),
        ("3 INFO", 200),
        ("4 UPDATE", 200),
        ("5 NOTIFY", 481),
        ("6 PRACK", 481),
        ("7 REFER", 405),
        ("8 MESSAGE", 405),
        ("9 FROBNICATE", 501),
    ];
    for (cseq, status) in cases {
        world.receive(&from_callee(&invite, "callee", cseq));
        assert_eq!(world.response().status, status, "{cseq}");
    }
    assert!(world.events().is_empty());
    world.bye(1);
    assert_eq!(world.request().method, Method::BYE);
}

#[test]
fn an_update_without_a_body_moves_the_target_and_one_with_a_session_does_not() {
    let mut world = World::new();
    let invite = world.talk(1);
    let moved = |cseq| {
        from_callee(&invite, "callee", cseq).header("Contact", "<sip:new@198.51.100.5:5099>")
    };
    world.receive(&moved("1 UPDATE").sdp(ANSWER));
    assert_eq!(world.response().status, 488);
    world.bye(1);
    assert_eq!(world.sent.remove(0).0, addr(CARRIER));

    let invite = world.talk(2);
    let update = from_callee(&invite, "callee", "1 UPDATE");
    world.receive(&update.header("Contact", "<sip:new@198.51.100.5:5099>"));
    assert_eq!(world.response().status, 200);
    world.bye(2);
    assert_eq!(world.sent[0].0, addr("198.51.100.5:5099"));
    assert_eq!(world.request().uri, "sip:new@198.51.100.5:5099");
}

#[test]
fn a_refused_re_invite_is_refused_again_until_its_ack() {
    let mut world = World::new();
    let invite = world.talk(1);
    let again = from_callee(&invite, "callee", "1 INVITE").sdp(ANSWER);
    world.receive(&again);
    let refusal = world.response();
    world.pass(secs(1));
    assert_eq!(world.response().status, 488);
    let ack = Draft::request(&Method::ACK, "sip:campanile@192.0.2.1:5060")
        .copy(&refusal.headers, "Via")
        .copy(&refusal.headers, "From")
        .copy(&refusal.headers, "To")
        .copy(&refusal.headers, "Call-ID")
        .header("CSeq", "1 ACK");
    world.receive(&ack);
    world.pass(secs(10));
    assert!(world.sent.is_empty());
}

#[test]
fn an_older_request_than_one_seen_is_refused() {
    let mut world = World::new();
    let invite = world.talk(1);
    world.receive(&from_callee(&invite, "callee", "9 INFO"));
    assert_eq!(world.response().status, 200);
    world.receive(&from_callee(&invite, "callee", "8 INFO"));
    assert_eq!(world.response().status, 500);
}

#[test]
fn an_extension_we_do_not_know_is_named_but_never_keeps_a_call_alive() {
    let mut world = World::new();
    let invite = world.talk(1);
    let require = |cseq| from_callee(&invite, "callee", cseq).header("Require", "x, y");
    world.receive(&require("1 INFO"));
    let refusal = world.response();
    let unsupported: Vec<_> = refusal.headers.all("Unsupported").collect();
    assert_eq!((refusal.status, unsupported), (420, vec!["x", "y"]));
    world.receive(&require("2 BYE"));
    assert_eq!(world.response().status, 200);
}

#[test]
fn a_request_with_both_tags_is_taken_from_anywhere_and_one_without_from_nowhere_strange() {
    let mut world = World::new();
    let invite = world.talk(1);
    let forged = from_callee(&invite, "guess", "1 BYE").to_bytes();
    world.receive_from(STRANGER, &forged);
    assert!(world.sent.is_empty());
    assert_eq!(world.count(Counter::RefusedSource), 1);
    world.receive_from(CARRIER, &forged);
    assert_eq!(world.response().status, 481);
    assert_eq!(world.count(Counter::Stray481), 1);
    assert!(world.events().is_empty());

    world.receive_from(STRANGER, &from_callee(&invite, "callee", "1 BYE").to_bytes());
    assert_eq!(world.sent[0].0, addr(STRANGER));
    assert_eq!(world.response().status, 200);
    assert!(matches!(world.events()[..], [Event::Ended { by: EndedBy::Them, .. }]));
}

#[test]
fn a_bye_inside_an_early_dialog_is_refused_because_the_callee_must_not_send_it() {
    let mut world = World::new();
    let invite = world.dial(1);
    world.receive(&invite.answer(180, Some("callee")));
    world.receive(&from_callee(&invite, "callee", "1 BYE"));
    assert_eq!(world.response().status, 481);
    world.receive(&from_callee(&invite, "callee", "2 INFO"));
    assert_eq!(world.response().status, 200);
}

//! Requests that belong to no call: who is answered at all, and with what.

use super::*;

fn alone(method: &str) -> Draft {
    Draft::request(&Method::from_token(method), "sip:campanile@192.0.2.1")
        .header("Via", format!("SIP/2.0/UDP 10.9.9.9:5070;branch=z9hG4bK{method};rport"))
        .header("From", "<sip:x@h>;tag=1")
        .header("To", "<sip:y@h>")
        .header("Call-ID", "stray")
        .header("CSeq", format!("1 {method}"))
}

#[test]
fn a_trusted_network_is_answered_politely_at_its_source() {
    let mut world = World::new();
    let cases = [
        ("OPTIONS", 200),
        ("INVITE", 486),
        ("REGISTER", 405),
        ("MESSAGE", 405),
        ("FROB", 501),
        ("CANCEL", 481),
    ];
    for (method, status) in cases {
        world.receive_from("198.51.100.77:1234", &alone(method).to_bytes());
        assert_eq!(world.sent[0].0, addr("198.51.100.77:1234"), "{method}");
        let answer = world.response();
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(answer.common.via.params.get("rport"), Some("1234"));
        assert!(answer.common.to.tag().is_some());
        let allows = answer.headers.get("Allow").is_some();
        assert_eq!(allows, status == 405 || method == "OPTIONS", "{method}");
    }
    world.assert_forgets();
}

#[test]
fn a_strange_network_hears_nothing() {
    let mut world = World::new();
    for method in ["OPTIONS", "INVITE", "REGISTER", "FROB", "CANCEL", "ACK", "BYE"] {
        world.receive_from(STRANGER, &alone(method).to_bytes());
    }
    assert!(world.sent.is_empty());
    assert_eq!(world.count(Counter::RefusedSource), 6);
    assert!(world.endpoint.is_idle());
}

#[test]
fn networks_change_while_running() {
    let mut world = World::new();
    world.command(Command::Networks(vec!["203.0.113.0/24".parse().unwrap()]));
    world.receive_from(STRANGER, &alone("OPTIONS").to_bytes());
    assert_eq!(world.response().status, 200);
    world.receive_from(CARRIER, &alone("REGISTER").to_bytes());
    assert!(world.sent.is_empty());
}

#[test]
fn a_cancel_of_a_refused_invite_is_answered_and_changes_nothing() {
    let mut world = World::new();
    world.receive(&alone("INVITE"));
    assert_eq!(world.response().status, 486);
    let cancel = Draft::request(&Method::CANCEL, "sip:campanile@192.0.2.1")
        .header("Via", "SIP/2.0/UDP 10.9.9.9:5070;branch=z9hG4bKINVITE;rport")
        .header("From", "<sip:x@h>;tag=1")
        .header("To", "<sip:y@h>")
        .header("Call-ID", "stray")
        .header("CSeq", "1 CANCEL");
    world.receive(&cancel);
    assert_eq!(world.response().status, 200);
}

#[test]
fn a_request_from_before_rfc_3261_is_known_again_without_a_branch() {
    let mut world = World::new();
    let old = |call_id: &str| {
        Draft::request(&Method::OPTIONS, "sip:campanile@192.0.2.1")
            .header("Via", "SIP/2.0/UDP 198.51.100.7")
            .header("From", "<sip:x@h>;tag=1")
            .header("To", "<sip:y@h>")
            .header("Call-ID", call_id)
            .header("CSeq", "1 OPTIONS")
    };
    world.receive(&old("a"));
    world.receive(&old("a"));
    world.receive(&old("b"));
    assert_eq!(world.sent.len(), 3);
    assert_eq!(world.count(Counter::RetransmissionReceived), 1);
}

#[test]
fn what_is_not_sip_is_counted_and_keep_alives_are_not() {
    let mut world = World::new();
    world.receive_from(CARRIER, b"\r\n\r\n");
    world.receive_from(CARRIER, b"GET / HTTP/1.1\r\n\r\n");
    world.receive_from(CARRIER, &[0xff; 1_000]);
    assert_eq!(world.count(Counter::Malformed), 2);
    assert!(world.sent.is_empty());
}

#[test]
fn an_answer_to_nothing_of_ours_is_dropped() {
    let mut world = World::new();
    let Ok(Message::Request(foreign)) = Message::parse(&alone("INVITE").to_bytes()) else {
        panic!()
    };
    world.receive(&foreign.answer(200, Some("t")));
    world.receive(&foreign.answer(486, Some("t")));
    assert!(world.sent.is_empty());
    assert_eq!(world.count(Counter::StrayResponse), 2);
}

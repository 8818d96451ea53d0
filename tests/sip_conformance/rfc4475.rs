//! RFC 4475: the thirteen valid torture messages are read right, the others refused or answered.

use std::net::SocketAddr;
use std::path::Path;

use campanile::domain::time::Mono;
use campanile::protocols::sip::{
    Counter, Endpoint, EndpointConfig, Event, Message, Output, Request, Response,
};

fn bytes(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip_conformance/rfc4475");
    std::fs::read(folder.join(format!("{name}.dat"))).expect(name)
}

fn request(name: &str) -> Request {
    match Message::parse(&bytes(name)) {
        Ok(Message::Request(request)) => request,
        other => panic!("{name}: {other:?}"),
    }
}

fn response(name: &str) -> Response {
    match Message::parse(&bytes(name)) {
        Ok(Message::Response(response)) => response,
        other => panic!("{name}: {other:?}"),
    }
}

/// What an endpoint that trusts the sender does with a message.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    Answered(u16),
    Counted(Counter),
}

fn reaction(bytes: &[u8]) -> Reaction {
    let from: SocketAddr = "192.0.2.77:5060".parse().unwrap();
    let mut endpoint = Endpoint::new(EndpointConfig {
        local: "192.0.2.1:5060".parse().unwrap(),
        user_agent: "campanile".into(),
        networks: vec!["192.0.2.0/24".parse().unwrap()],
        seed: 1,
    });
    endpoint.handle_datagram(Mono::ZERO, from, bytes);
    let mut counted = None;
    while let Some(output) = endpoint.poll_output() {
        match output {
            Output::Send { bytes, .. } => match Message::parse(&bytes) {
                Ok(Message::Response(response)) => return Reaction::Answered(response.status),
                other => panic!("{other:?}"),
            },
            Output::Event(Event::Counted(counter)) => counted = Some(counter),
            Output::Event(event) => panic!("{event:?}"),
        }
    }
    Reaction::Counted(counted.expect("neither answered nor counted"))
}

#[test]
fn wsinv_a_short_tortuous_invite() {
    let invite = request("wsinv");
    assert_eq!(invite.uri, "sip:vivekg@chair-dnrc.example.com;unknownparam");
    assert_eq!(invite.common.to.tag(), Some("1918181833n"));
    assert_eq!(invite.common.from.display.as_deref(), Some(r#"J Rosenberg \""#));
    assert_eq!(invite.common.from.tag(), Some("98asjd8"));
    assert_eq!(invite.common.cseq.number, 9);
    assert_eq!(invite.headers.list("Via").count(), 3);
    assert_eq!(invite.common.via.branch(), Some("390skdjuw"));
    assert_eq!(invite.headers.get("Max-Forwards"), Some("0068"));
    assert_eq!(invite.headers.get("Subject"), Some(""));
    assert_eq!(invite.headers.get("UnknownHeaderWithUnusualValue"), Some(";;,,;;,;"));
    let routes: Vec<_> = invite.headers.list("Route").collect();
    assert_eq!(routes, ["<sip:services.example.com;lr;unknownwith=value;unknown-no-value>"]);
    let contact = invite.contact().unwrap();
    assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.uri, "sip:jdrosen@example.com");
    assert_eq!(contact.params.get("newparam"), Some("newvalue"));
    assert_eq!(contact.params.get("q"), Some("0.33"));
    assert_eq!(invite.headers.list("Contact").count(), 1);
    assert_eq!(invite.body.len(), 150);
}

#[test]
fn intmeth_every_sign_a_method_and_a_call_id_may_have() {
    let odd = request("intmeth");
    assert_eq!(odd.method.to_string(), "!interesting-Method0123456789_*+`.%indeed'~");
    assert_eq!(odd.common.call_id, "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    let uri = odd.common.to.parts().unwrap();
    assert_eq!(uri.host, "example.com");
    assert_eq!(odd.common.from.params.get("tag"), Some("_token~1'+`*%!-."));
    assert_eq!(reaction(&bytes("intmeth")), Reaction::Answered(501));
}

#[test]
fn esc01_escapes_in_uris_are_kept_and_can_be_undone() {
    let invite = request("esc01");
    assert_eq!(invite.uri, "sip:sips%3Auser%40example.com@example.net");
    assert_eq!(
        campanile::protocols::sip::uri::Uri::parse(&invite.uri).unwrap().user_unescaped().unwrap(),
        "sips:user@example.com"
    );
    let user = invite.common.to.parts().unwrap().user_unescaped();
    assert_eq!(user.as_deref(), Some("user"));
}

#[test]
fn escnull_an_escaped_nul_is_part_of_the_user() {
    let user = request("escnull").common.to.parts().unwrap().user_unescaped();
    assert_eq!(user.as_deref(), Some("null-\0-null"));
}

#[test]
fn esc02_a_percent_sign_in_a_method_is_no_escape() {
    let odd = request("esc02");
    assert_eq!(odd.method.to_string(), "RE%47IST%45R");
    assert_eq!(odd.common.to.display.as_deref(), Some("%Z%45"));
    assert_eq!(reaction(&bytes("esc02")), Reaction::Answered(501));
}

#[test]
fn lwsdisp_no_blank_before_the_bracket() {
    let options = request("lwsdisp");
    assert_eq!(options.common.from.display.as_deref(), Some("caller"));
    assert_eq!(options.common.from.uri, "sip:caller@example.com");
}

#[test]
fn longreq_long_values_and_many_vias() {
    let invite = request("longreq");
    assert_eq!(invite.headers.list("Via").count(), 34);
    assert!(invite.common.call_id.len() > 100);
    assert!(invite.common.from.uri.len() > 100);
    assert_eq!(invite.body.len(), 150);
}

#[test]
fn dblreq_the_second_request_in_the_datagram_is_no_body() {
    let register = request("dblreq");
    assert_eq!(register.method.to_string(), "REGISTER");
    assert!(register.body.is_empty());
}

#[test]
fn semiuri_semicolons_in_the_user_part() {
    let uri = campanile::protocols::sip::uri::Uri::parse(&request("semiuri").uri).unwrap();
    assert_eq!(uri.user.as_deref(), Some("user;par=u%40example.net"));
    assert_eq!(uri.host, "example.com");
}

#[test]
fn transports_five_of_them_in_five_vias() {
    let options = request("transports");
    let vias = options.headers.list("Via");
    let transports: Vec<_> = vias
        .map(|v| campanile::protocols::sip::headers::Via::parse(v).unwrap().transport)
        .collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn mpart01_a_binary_body_is_kept_to_the_byte() {
    let message = request("mpart01");
    assert_eq!(message.headers.get("Content-Length"), Some("553"));
    assert_eq!(message.body.len(), 553);
    assert!(bytes("mpart01").ends_with(&message.body));
}

#[test]
fn unreason_a_phrase_beyond_ascii() {
    let phrase = response("unreason").phrase_readable();
    assert!(phrase.starts_with("= 2**3 * 5**2 "));
    assert!(phrase.contains("девяносто"), "{phrase}");
}

#[test]
fn noreason_an_empty_phrase() {
    assert_eq!((response("noreason").status, response("noreason").phrase.as_str()), (100, ""));
}

#[test]
fn what_has_no_sound_reading_is_refused_and_counted() {
    // Sections 3.1.2 and 3.3 of the RFC.
    let names = [
        "clerr",
        "ncl",
        "scalar02",
        "scalarlg",
        "quotbal",
        "ltgtruri",
        "lwsruri",
        "lwsstart",
        "trws",
        "badaspec",
        "badvers",
        "mismatch01",
        "mismatch02",
        "bigcode",
        "insuf",
        "multi01",
        "mcl01",
    ];
    for name in names {
        assert_eq!(reaction(&bytes(name)), Reaction::Counted(Counter::Malformed), "{name}");
    }
    let baddn = [bytes("baddn"), b"\r\n".to_vec()].concat();
    assert_eq!(reaction(&baddn), Reaction::Counted(Counter::Malformed), "baddn");
}

#[test]
fn what_can_be_understood_is_answered() {
    let answered = [
        // Faults in parts that are not needed for the answer.
        ("badinv01", 486),
        ("baddate", 486),
        ("escruri", 486),
        ("regbadct", 405),
        ("badbranch", 200),
        // Requests that ask for more than we have.
        ("unkscm", 416),
        ("novelsc", 416),
        ("bext01", 420),
        ("unksm2", 405),
        ("regaut01", 405),
        ("cparam01", 405),
        ("cparam02", 405),
        ("regescrt", 405),
        ("invut", 486),
        ("sdp01", 486),
        // An endpoint may answer although no hop is left.
        ("zeromf", 200),
        // From before branches and tags.
        ("inv2543", 486),
    ];
    for (name, status) in answered {
        assert_eq!(reaction(&bytes(name)), Reaction::Answered(status), "{name}");
    }
}

#[test]
fn bcast_an_answer_to_nobody_is_dropped() {
    assert_eq!(reaction(&bytes("bcast")), Reaction::Counted(Counter::StrayResponse));
}

#[test]
fn cutting_any_message_anywhere_never_panics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip_conformance/rfc4475");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in files.filter(|path| path.extension().is_some_and(|e| e == "dat")) {
        let whole = std::fs::read(path).unwrap();
        for end in 0..=whole.len() {
            drop(Message::parse(&whole[..end]));
        }
        count += 1;
    }
    assert_eq!(count, 49);
}

//! SIPp as the callee, over real sockets: what it receives from us has to fit its scenarios.
//!
//! Each test checks both sides: our events, and that SIPp saw every message its scenario waits for
//! and no other. A missing SIPp is a failure that says what to install.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use campanile::adapters::net::sip_udp::{SipHandle, SipUdp, SipUdpConfig};
use campanile::domain::ids::LegId;
use campanile::domain::time::Mono;
use campanile::protocols::sdp;
use campanile::protocols::sip::profile::InDialogTo;
use campanile::protocols::sip::{
    CallerId, Command, Counter, EndedBy, Event, Failure, FailureKind, Invite, Profile, Q850,
    ReasonValue, Target,
};
use tempfile::TempDir;
use tokio::process::{Child, Command as Process};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// No scenario needs more than a second or two; a busy machine may.
const PATIENCE: Duration = Duration::from_secs(20);

/// One call to one SIPp.
struct Call {
    sip: SipHandle,
    events: mpsc::Receiver<Event>,
    counted: Vec<Counter>,
    sipp: Child,
    errors: TempDir,
}

const LEG: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0001;

fn leg() -> LegId {
    LegId::from_uuid(uuid::Uuid::from_u128(LEG))
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

impl Call {
    /// Starts SIPp with a scenario and dials it.
    async fn dial(scenario: &str, blanks: &[(&str, &str)]) -> Self {
        let errors = tempfile::tempdir().unwrap();
        let (sipp, port) = start_sipp(scenario, blanks, errors.path()).await;
        Self::dial_at(sipp, port, errors, Profile::default()).await
    }

    /// The same through a network that loses the first datagram that begins with `lost`.
    async fn dial_losing(scenario: &str, lost: &'static str) -> Self {
        let errors = tempfile::tempdir().unwrap();
        let (sipp, port) = start_sipp(scenario, &[], errors.path()).await;
        let lossy = lossy_way_to(port, lost).await;
        // SIPp's Contact names SIPp itself; the profile keeps to the lossy way.
        let profile = Profile { in_dialog_to: InDialogTo::Trunk, ..Profile::default() };
        Self::dial_at(sipp, lossy, errors, profile).await
    }

    async fn dial_at(sipp: Child, port: u16, errors: TempDir, profile: Profile) -> Self {
        let (sender, events) = mpsc::channel(64);
        let began = tokio::time::Instant::now();
        let clock = Arc::new(move || {
            Mono::from_micros(u64::try_from(began.elapsed().as_micros()).unwrap())
        });
        let config = SipUdpConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            user_agent: "campanile".into(),
            networks: Vec::new(),
            seed: 1,
        };
        let (sip, task) = SipUdp::bind(config, clock, sender).unwrap();
        tokio::spawn(task.run(vec![]));
        let call = Self { sip, events, counted: Vec::new(), sipp, errors };
        let host = format!("127.0.0.1:{port}");
        call.tell(Command::Invite(Invite {
            leg: leg(),
            target: Target {
                addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                uri: profile.request_uri("+12025550100", &host),
            },
            from: CallerId {
                display: None,
                user: "+12025550199".into(),
                host: call.sip.advertised.to_string(),
            },
            sdp: sdp::offer("127.0.0.1:4000".parse().unwrap(), 1),
            profile: Arc::new(profile),
            headers: Vec::new(),
        }))
        .await;
        call
    }

    async fn tell(&self, command: Command) {
        self.sip.commands.send(command).await.unwrap();
    }

    async fn cancel(&self) {
        self.tell(Command::Cancel { leg: leg(), reason: ReasonValue::RingTimeout }).await;
    }

    async fn hang_up(&self) {
        self.tell(Command::Bye { leg: leg(), reason: ReasonValue::NormalClearing }).await;
    }

    /// The next event that is not a count.
    async fn event(&mut self) -> Event {
        loop {
            match timeout(PATIENCE, self.events.recv()).await.expect("no event").unwrap() {
                Event::Counted(counter) => self.counted.push(counter),
                event => return event,
            }
        }
    }

    /// The next event, which must be a count.
    async fn one_count(&mut self) {
        match timeout(PATIENCE, self.events.recv()).await.expect("no event").unwrap() {
            Event::Counted(counter) => self.counted.push(counter),
            event => panic!("{event:?}"),
        }
    }

    async fn rings(&mut self, status: u16) {
        match self.event().await {
            Event::Progress { status: heard, .. } => assert_eq!(heard, status),
            other => panic!("{other:?}"),
        }
    }

    async fn is_answered(&mut self) {
        match self.event().await {
            Event::Answered { sdp, .. } => {
                let media = sdp::read_answer(&sdp).unwrap();
                assert_eq!((media.codec, media.telephone_event), (sdp::Codec::Pcma, Some(101)));
            }
            other => panic!("{other:?}"),
        }
    }

    async fn fails(&mut self) -> Failure {
        match self.event().await {
            Event::Failed { failure, .. } => failure,
            other => panic!("{other:?}"),
        }
    }

    async fn ends(&mut self) -> (EndedBy, Option<Q850>) {
        match self.event().await {
            Event::Ended { by, reason, .. } => (by, reason),
            other => panic!("{other:?}"),
        }
    }

    /// SIPp ends by itself once its scenario is through; anything unexpected is its exit code.
    async fn sipp_is_content(&mut self) {
        let status = timeout(PATIENCE, self.sipp.wait()).await.expect("SIPp hangs").unwrap();
        assert!(status.success(), "SIPp: {status}\n{}", complaints(self.errors.path()));
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Counted(counter) => self.counted.push(counter),
                event => panic!("one event too many: {event:?}"),
            }
        }
    }

    fn count(&self, counter: Counter) -> usize {
        self.counted.iter().filter(|c| **c == counter).count()
    }
}

async fn start_sipp(scenario: &str, blanks: &[(&str, &str)], folder: &Path) -> (Child, u16) {
    let port = free_port();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sip_conformance/scenarios");
    let mut text = std::fs::read_to_string(here.join(format!("{scenario}.xml"))).unwrap();
    for (blank, value) in blanks {
        text = text.replace(&format!("{{{blank}}}"), value);
    }
    let file = folder.join("scenario.xml");
    std::fs::write(&file, text).unwrap();
    let mut sipp = Process::new("sipp");
    sipp.arg("-sf").arg(file).args(["-i", "127.0.0.1", "-p", &port.to_string()]);
    sipp.args([
        "-cp",
        &free_port().to_string(),
        "-m",
        "1",
        "-nostdin",
        "-nd",
        "-deadcall_wait",
        "0",
    ]);
    sipp.args(["-timeout", "20s", "-timeout_error", "-trace_err", "-error_file"]);
    sipp.arg(folder.join("errors"));
    let complaints = std::fs::File::create(folder.join("stderr")).unwrap();
    sipp.stdout(Stdio::null()).stderr(complaints).stdin(Stdio::null()).kill_on_drop(true);
    let mut child = sipp.spawn().unwrap_or_else(|error| {
        panic!("cannot start sipp ({error}): install it, on Debian `apt-get install sip-tester`")
    });
    wait_until_taken(port, &mut child, folder).await;
    (child, port)
}

/// A port that forwards to SIPp and back, and swallows one datagram.
async fn lossy_way_to(port: u16, lost: &'static str) -> u16 {
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let ours = socket.local_addr().unwrap().port();
    let sipp = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    tokio::spawn(async move {
        let (mut buffer, mut caller, mut lost) = (vec![0; 65_535], None, Some(lost));
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let datagram = &buffer[..length];
            if lost.is_some_and(|prefix| datagram.starts_with(prefix.as_bytes())) {
                lost = None;
                continue;
            }
            let to = if from == sipp { caller } else { Some(sipp) };
            if from != sipp {
                caller = Some(from);
            }
            if let Some(to) = to {
                socket.send_to(datagram, to).await.unwrap();
            }
        }
    });
    ours
}

/// Waits until SIPp has the port: only then can nobody else have it.
async fn wait_until_taken(port: u16, sipp: &mut Child, folder: &Path) {
    let taken = async {
        while UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            let ended = sipp.try_wait().unwrap();
            assert!(ended.is_none(), "SIPp: {ended:?}\n{}", complaints(folder));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, taken).await.expect("SIPp did not start");
}

/// What SIPp wrote about messages it had not expected.
fn complaints(folder: &Path) -> String {
    let read = |name| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    read("errors") + &read("stderr")
}

#[tokio::test]
async fn a_call_we_hang_up_goes_along_its_record_route() {
    let mut call = Call::dial("caller_hangs_up", &[]).await;
    call.rings(180).await;
    call.is_answered().await;
    call.hang_up().await;
    assert_eq!(call.ends().await, (EndedBy::Us, None));
    call.sipp_is_content().await;
}

#[tokio::test]
async fn a_call_they_hang_up_ends_with_their_cause() {
    let mut call = Call::dial("callee_hangs_up", &[]).await;
    call.is_answered().await;
    let (by, reason) = call.ends().await;
    assert_eq!((by, reason.map(|r| r.cause)), (EndedBy::Them, Some(16)));
    call.sipp_is_content().await;
}

#[tokio::test]
async fn refusals_are_told_with_status_phrase_cause_and_patience() {
    let cases = [
        ("486 Busy Here", "Reason: Q.850;cause=17;text=\"User busy\"", Some(17), None),
        ("404 Not Found", "Reason: Q.850;cause=1", Some(1), None),
        ("480 Temporarily Unavailable", "X-Nothing: 1", None, None),
        ("503 No Circuit Available", "Retry-After: 17", None, Some(17)),
        ("603 Decline", "Reason: SIP;cause=603, Q.850;cause=21", Some(21), None),
    ];
    for (line, more, cause, patience) in cases {
        let mut call = Call::dial("refuse", &[("refusal", line), ("more", more)]).await;
        let failure = call.fails().await;
        let (status, phrase) = line.split_once(' ').unwrap();
        assert_eq!(failure.status, status.parse().ok(), "{line}");
        assert_eq!(failure.phrase, phrase);
        assert_eq!((failure.q850, failure.retry_after_s), (cause, patience), "{line}");
        assert_eq!((failure.kind, failure.cancelled_by_us), (FailureKind::Final, false));
        call.sipp_is_content().await;
    }
}

#[tokio::test]
async fn a_call_nobody_answers_is_cancelled_and_ends_with_487() {
    let mut call = Call::dial("ring_until_cancelled", &[]).await;
    call.rings(180).await;
    call.cancel().await;
    let failure = call.fails().await;
    assert_eq!((failure.status, failure.cancelled_by_us), (Some(487), true));
    call.sipp_is_content().await;
}

#[tokio::test]
async fn a_cancel_before_any_response_waits_for_one() {
    let mut call = Call::dial("ring_until_cancelled", &[]).await;
    call.cancel().await;
    call.rings(180).await;
    assert_eq!(call.fails().await.status, Some(487));
    call.sipp_is_content().await;
}

#[tokio::test]
async fn an_answer_that_crosses_our_cancel_is_acknowledged_and_ended() {
    let mut call = Call::dial("answer_crosses_cancel", &[]).await;
    call.rings(180).await;
    call.cancel().await;
    assert_eq!(call.ends().await, (EndedBy::CancelCrossedAnswer, None));
    call.sipp_is_content().await;
    assert_eq!(call.count(Counter::CancelCrossed2xx), 1);
}

#[tokio::test]
async fn early_media_comes_with_its_description_before_the_answer() {
    let mut call = Call::dial("early_media", &[]).await;
    match call.event().await {
        Event::Progress { status: 183, sdp: Some(sdp), .. } => {
            assert_eq!(sdp::read_answer(&sdp).unwrap().remote.port(), 6000);
        }
        other => panic!("{other:?}"),
    }
    call.is_answered().await;
    call.hang_up().await;
    assert_eq!(call.ends().await, (EndedBy::Us, None));
    call.sipp_is_content().await;
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again_by_the_side_that_must() {
    // (scenario, what is lost once, sent again by us, seen again by us)
    let cases = [
        ("caller_hangs_up", "SIP/2.0 200", 0, 0),
        ("caller_hangs_up", "ACK", 0, 1),
        ("caller_hangs_up", "BYE", 1, 0),
        ("ring_until_cancelled", "INVITE", 1, 0),
        ("ring_until_cancelled", "SIP/2.0 180", 1, 0),
        ("ring_until_cancelled", "CANCEL", 1, 0),
        ("ring_until_cancelled", "SIP/2.0 487", 0, 0),
    ];
    let calls = cases.map(|(scenario, lost, sent_again, seen_again)| async move {
        let mut call = Call::dial_losing(scenario, lost).await;
        call.rings(180).await;
        if scenario == "caller_hangs_up" {
            call.is_answered().await;
            while call.count(Counter::RetransmissionReceived) < seen_again {
                call.one_count().await;
            }
            call.hang_up().await;
            assert_eq!(call.ends().await, (EndedBy::Us, None), "{lost}");
        } else {
            call.cancel().await;
            assert_eq!(call.fails().await.status, Some(487), "{lost}");
        }
        call.sipp_is_content().await;
        assert_eq!(call.count(Counter::RetransmissionSent), sent_again, "{lost}");
        assert_eq!(call.count(Counter::RetransmissionReceived), seen_again, "{lost}");
    });
    // At the same time: each waits half a second for a timer.
    futures_util::future::join_all(calls).await;
}

//! The dialer's own SIP endpoint against the lab's carrier: both sides' books must agree, also over
//! a link that loses datagrams.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use campanile::domain::ids::LegId;
use campanile::domain::time::{Mono, Now, Utc};
use campanile::lab::carrier::{Carrier, CarrierConfig};
use campanile::lab::carrier_ledger::{CarrierLedger, Ender};
use campanile::lab::clock::{self, Clock, sleep_until};
use campanile::protocols::sdp;
use campanile::protocols::sip::facade::{
    CallerId, Command, EndedBy, Event, Invite, Output, ReasonValue, Target,
};
use campanile::protocols::sip::profile::Profile;
use campanile::protocols::sip::{Endpoint, EndpointConfig};
use tokio::net::UdpSocket;
use uuid::Uuid;

/// What the dialer's side knows of one call.
#[expect(clippy::option_option, reason = "a failure may come with or without a final status")]
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Known {
    ringing: bool,
    answered: bool,
    failed: Option<Option<u16>>,
    ended: Option<EndedBy>,
}

impl Known {
    fn is_over(&self) -> bool {
        self.failed.is_some() || self.ended.is_some()
    }
}

struct Dialer {
    clock: Clock,
    socket: UdpSocket,
    endpoint: Endpoint,
    known: BTreeMap<LegId, Known>,
    /// What to do to a leg, and when.
    plans: Vec<(Mono, Command)>,
}

impl Dialer {
    async fn new(clock: Clock) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new(EndpointConfig {
            local: socket.local_addr().unwrap(),
            user_agent: "test".into(),
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            seed: 1,
        });
        Self { clock, socket, endpoint, known: BTreeMap::new(), plans: Vec::new() }
    }

    fn dial(&mut self, carrier: &Carrier, index: u32) {
        let leg = LegId::from_uuid(Uuid::from_u128(u128::from(index) + 1));
        let addr = carrier.local_addr();
        let target = Target { addr, uri: format!("sip:+1212555{:04}@{addr}", 100 + index) };
        let from = CallerId { display: None, user: "+12025550100".into(), host: "lab".into() };
        let sdp = sdp::offer("127.0.0.1:9".parse().unwrap(), 1);
        let profile = Arc::new(Profile::default());
        self.known.insert(leg, Known::default());
        let invite = Invite { leg, target, from, sdp, profile, headers: vec![] };
        self.endpoint.handle_command((self.clock)().mono, Command::Invite(invite));
    }

    fn take(&mut self, event: Event) {
        let now = (self.clock)().mono;
        let reason = ReasonValue::NormalClearing;
        match event {
            Event::Progress { leg, .. } => {
                let known = self.known.get_mut(&leg).unwrap();
                if !std::mem::replace(&mut known.ringing, true) {
                    let due = now + Duration::from_millis(600);
                    self.plans.push((due, Command::Cancel { leg, reason }));
                }
            }
            Event::Answered { leg, .. } => {
                self.known.get_mut(&leg).unwrap().answered = true;
                let due = now + Duration::from_millis(300);
                self.plans.push((due, Command::Bye { leg, reason }));
            }
            Event::Failed { leg, failure } => {
                let known = self.known.get_mut(&leg).unwrap();
                assert!(!known.is_over(), "{leg} ended twice");
                known.failed = Some(failure.status);
            }
            Event::Ended { leg, by, .. } => {
                let known = self.known.get_mut(&leg).unwrap();
                assert!(!known.is_over(), "{leg} ended twice");
                known.ended = Some(by);
            }
            Event::OptionsAnswered { .. } | Event::OrphanEnded { .. } | Event::Counted(_) => {}
        }
    }

    /// Until every call is over on both sides, or the deadline.
    async fn run(&mut self, carrier: &Carrier, at_most: Duration) {
        let end = (self.clock)().mono + at_most;
        let mut buffer = vec![0; 65_535];
        loop {
            let now = (self.clock)().mono;
            self.endpoint.handle_timeout(now);
            let (due, later) = self.plans.drain(..).partition(|(due, _)| *due <= now);
            self.plans = later;
            for (_, command) in due {
                let leg = match &command {
                    Command::Cancel { leg, .. } | Command::Bye { leg, .. } => *leg,
                    other => panic!("{other:?}"),
                };
                let known = &self.known[&leg];
                let too_late = matches!(command, Command::Cancel { .. }) && known.answered;
                if !known.is_over() && !too_late {
                    self.endpoint.handle_command(now, command);
                }
            }
            while let Some(output) = self.endpoint.poll_output() {
                match output {
                    Output::Send { to, bytes } => {
                        self.socket.send_to(&bytes, to).await.unwrap();
                    }
                    Output::Event(event) => self.take(event),
                }
            }
            let all_over = self.known.values().all(Known::is_over) && carrier.live_calls() == 0;
            if all_over || now > end {
                return;
            }
            let look_again = now + Duration::from_millis(100);
            let due = self.endpoint.poll_timeout().into_iter();
            let due = due.chain(self.plans.iter().map(|(due, _)| *due)).chain([look_again]).min();
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received.unwrap();
                    let now = (self.clock)().mono;
                    self.endpoint.handle_datagram(now, from, &buffer[..length]);
                }
                () = sleep_until(&self.clock, due) => {}
            }
        }
    }
}

async fn calls(config: CarrierConfig, calls: u32, at_most: Duration) -> (Dialer, CarrierLedger) {
    let clock = clock::starting_at(Now { mono: Mono::ZERO, utc: Utc::from_ms(1_767_607_200_000) });
    let carrier = Carrier::start(config, clock.clone()).await.unwrap();
    let mut dialer = Dialer::new(clock).await;
    for index in 0..calls {
        dialer.dial(&carrier, index);
    }
    dialer.run(&carrier, at_most).await;
    let ledger = carrier.ledger();
    (dialer, ledger)
}

fn assert_agreement(dialer: &Dialer, ledger: &CarrierLedger, lossy: bool) {
    assert_eq!(ledger.attempts, dialer.known.len() as u64);
    assert_eq!((ledger.doubled_invites, ledger.acks_missing, ledger.live), (0, 0, 0));
    for (leg, known) in &dialer.known {
        let row = ledger.rows.iter().find(|(id, _)| id.starts_with(&leg.to_string())).unwrap().1;
        let both = format!("{known:?} but {row:?}");
        assert!(known.is_over(), "{both}");
        if let Some(status) = known.failed {
            assert_eq!(status, row.final_status, "{both}");
            assert_eq!(row.answered_ms, None, "{both}");
        }
        match known.ended {
            Some(EndedBy::Them) => assert_eq!(row.ended_by, Some(Ender::Callee), "{both}"),
            Some(EndedBy::Us) => {
                // A BYE of ours that was lost while theirs crossed it was never seen over there.
                let crossed = lossy && row.ended_by == Some(Ender::Callee);
                let ours = matches!(row.ended_by, Some(Ender::Caller | Ender::Both));
                assert!(ours || crossed, "{both}");
            }
            Some(EndedBy::CancelCrossedAnswer) => {
                assert!(row.cancelled || row.cancelled_too_late, "{both}");
            }
            Some(EndedBy::Lost) | None => {}
        }
        assert_eq!(known.ended.is_some(), row.answered_ms.is_some(), "{both}");
    }
}

fn config(seed: u64) -> CarrierConfig {
    let mut config = CarrierConfig { seed, crossing: 0.3, early_media: 0.3, ..Default::default() };
    config.population.speed = 40.0;
    config.population.setup_median_s = 0.05;
    config.population.silent = 0.0;
    config.population.patience_mean_s = 16.0;
    config
}

#[tokio::test]
async fn on_a_good_link_every_call_is_the_same_in_both_books() {
    let (dialer, ledger) = calls(config(3), 90, Duration::from_secs(20)).await;
    assert_agreement(&dialer, &ledger, false);
    assert_eq!(ledger.repeated_invites, 0);
    let crossed = dialer.known.values().filter(|k| k.ended == Some(EndedBy::CancelCrossedAnswer));
    assert!(
        crossed.count() > 0 && ledger.answers > 20 && ledger.sip_finals[&487] > 5,
        "{ledger:?}"
    );
}

#[tokio::test]
async fn a_link_that_loses_every_twentieth_datagram_changes_nothing_but_the_repetitions() {
    let config = CarrierConfig { loss: 0.05, ..config(4) };
    let (dialer, ledger) = calls(config, 90, Duration::from_secs(60)).await;
    assert_agreement(&dialer, &ledger, true);
    let repeated = ledger.rows.values().map(|row| row.repeated_by_us).sum::<u32>();
    assert!(repeated > 0);
}

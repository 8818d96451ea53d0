//! What one voice packet costs: relayed with transcoding, sent as silence, and heard by the lab.

use std::hint::black_box;
use std::net::SocketAddr;

use campanile::domain::time::{Duration, Mono};
use campanile::protocols::audio::clip::Clip;
use campanile::protocols::audio::ear::Ear;
use campanile::protocols::audio::tone::{self, Voice};
use campanile::protocols::rtp::sender::Identity;
use campanile::protocols::rtp::session::{LegRole, Session};
use campanile::protocols::rtp::talker::Talker;
use campanile::protocols::sdp::{Codec, Direction, MediaParams};
use criterion::{Criterion, criterion_group, criterion_main};

const IDENTITY: Identity = Identity { ssrc: 1, sequence: 0, timestamp: 0 };
const BEAT: Duration = Duration::from_millis(20);

fn connected(role: LegRole, phone: SocketAddr, codec: Codec) -> Session {
    let mut session = Session::new(Mono::ZERO, role, IDENTITY);
    session.connect(
        Mono::ZERO,
        MediaParams {
            remote: phone,
            codec,
            payload_type: codec.static_payload_type(),
            telephone_event: None,
            direction: Direction::SendRecv,
            rtcp: None,
        },
    );
    session
}

fn packets(c: &mut Criterion) {
    let phone = SocketAddr::from(([192, 0, 2, 1], 4_000));
    let mut agent = connected(LegRole::Agent, phone, Codec::Pcmu);
    let mut customer = connected(LegRole::Customer, phone, Codec::Pcma);
    let mut talker = Talker::new(Mono::ZERO, Codec::Pcmu, 0, IDENTITY);
    talker.say(Mono::ZERO, Clip::voice(Voice::Agent));
    customer.bridge();
    let mut out = Vec::new();
    let mut now = Mono::ZERO;
    c.bench_function("speak, relay and transcode one packet", |b| {
        b.iter(|| {
            now += BEAT;
            if let Some(datagram) = talker.poll(now)
                && let Some(taken) = agent.handle_rtp(now, phone, &datagram)
            {
                black_box(customer.relay(now, &taken, &mut out));
            }
        });
    });
    customer.unbridge();
    c.bench_function("one frame of silence", |b| {
        b.iter(|| {
            now += BEAT;
            black_box(customer.poll_frame(now, &mut out))
        });
    });
    let voice = tone::voice(Voice::Customer);
    let mut ear = Ear::new();
    c.bench_function("one second heard by a lab phone", |b| {
        b.iter(|| ear.listen(voice.iter().copied()));
    });
}

criterion_group!(benches, packets);
criterion_main!(benches);

//! A party for the lab: sends a voice every 20 ms and tells what it hears.
//!
//! Pure: the owner passes `now` and datagrams in, sends what [`Talker::poll`] gives, and calls it
//! again when [`Talker::poll_timeout`] is due. A thousand of them share one voice.

use super::packet;
use super::receiver::{Arrival, Counts, Receiver};
use super::sender::{Identity, Sender};
use crate::domain::time::{Duration, Mono};
use crate::protocols::audio::clip::Clip;
use crate::protocols::audio::ear::{Ear, Heard};
use crate::protocols::audio::{FRAME_US, g711};
use crate::protocols::sdp::Codec;

/// Frames made up for after a stall of the owner, 200 ms; older ones are skipped, as a real phone
/// would have sent them long ago.
const CATCH_UP_MAX: u64 = 10;

/// One side of a lab call.
#[derive(Debug)]
pub struct Talker {
    codec: Codec,
    payload_type: u8,
    sender: Sender,
    receiver: Receiver,
    ear: Ear,
    /// What it says, and the frame to say next; none sends nothing at all.
    voice: Option<(Clip, usize)>,
    due: Mono,
    broken: u64,
}

impl Talker {
    /// Says nothing until [`Self::say`].
    pub fn new(now: Mono, codec: Codec, payload_type: u8, identity: Identity) -> Self {
        Self {
            codec,
            payload_type,
            sender: Sender::new(identity),
            receiver: Receiver::new(),
            ear: Ear::new(),
            voice: None,
            due: now,
            broken: 0,
        }
    }

    /// Repeats `clip` from its beginning until told otherwise.
    pub fn say(&mut self, now: Mono, clip: Clip) {
        if self.voice.is_none() {
            self.due = now;
        }
        self.voice = Some((clip, 0));
    }

    /// Sends nothing any more, as a phone that suppresses silence.
    pub fn hush(&mut self) {
        self.voice = None;
        self.sender.change_source();
    }

    /// The packet that is due, if one is. To be called until it gives none.
    pub fn poll(&mut self, now: Mono) -> Option<Vec<u8>> {
        let (clip, next) = self.voice.as_mut()?;
        if now < self.due {
            return None;
        }
        let late = now.as_micros() - self.due.as_micros();
        // Whole frames are skipped, so that the beat is kept.
        let skipped = late.saturating_sub(FRAME_US * CATCH_UP_MAX).div_ceil(FRAME_US);
        self.due += Duration::from_micros(skipped * FRAME_US);
        let frame = clip.frame(self.codec, *next)?;
        let mut out = Vec::new();
        self.sender.own(self.due, self.payload_type, frame, &mut out);
        *next = (*next + 1) % clip.frames();
        self.due += Duration::from_micros(FRAME_US);
        Some(out)
    }

    /// When [`Self::poll`] has a packet next.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.voice.is_some().then_some(self.due)
    }

    /// Takes a datagram. Both laws are understood by their static payload types, whatever was
    /// negotiated.
    pub fn handle(&mut self, now: Mono, datagram: &[u8]) {
        let Ok(packet) = packet::read(datagram) else {
            self.broken += 1;
            return;
        };
        let codec = match packet.header.payload_type {
            own if own == self.payload_type => Some(self.codec),
            other => g711::of_static_payload_type(other),
        };
        let clocked = codec.is_some();
        let arrival = self.receiver.handle(now, packet.header, packet.payload.len(), clocked);
        if let (Some(codec), Arrival::New | Arrival::Restarted) = (codec, arrival) {
            self.ear.listen(packet.payload.iter().map(|byte| g711::decode(codec, *byte)));
        }
    }

    /// What was heard, in frames.
    pub fn heard(&self) -> Heard {
        self.ear.heard()
    }

    /// Packets received, lost, late and so on.
    pub fn counts(&self) -> Counts {
        self.receiver.counts()
    }

    /// Interarrival jitter of what is received.
    pub fn jitter(&self) -> Duration {
        self.receiver.jitter()
    }

    /// Packets sent.
    pub fn sent(&self) -> u32 {
        self.sender.packets()
    }

    /// Datagrams that were no RTP.
    pub fn broken(&self) -> u64 {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::audio::tone::Voice;

    const OURS: Identity = Identity { ssrc: 1, sequence: 65_000, timestamp: 0 };

    fn at(ms: u64) -> Mono {
        Mono::from_micros(ms * 1_000)
    }

    fn talker(codec: Codec) -> Talker {
        Talker::new(at(0), codec, codec.static_payload_type(), OURS)
    }

    #[test]
    fn two_talkers_hear_each_others_voices_whatever_their_laws() {
        let (mut agent, mut customer) = (talker(Codec::Pcmu), talker(Codec::Pcma));
        agent.say(at(0), Clip::voice(Voice::Agent));
        customer.say(at(0), Clip::voice(Voice::Customer));
        for now in (0..2_000).map(at) {
            while let Some(packet) = agent.poll(now) {
                customer.handle(now, &packet);
            }
            while let Some(packet) = customer.poll(now) {
                agent.handle(now, &packet);
            }
        }
        assert_eq!((agent.sent(), customer.sent()), (100, 100));
        let want = Heard { frames: 100, customer: 100, ..Heard::default() };
        assert_eq!(agent.heard(), want);
        let want = Heard { frames: 100, agent: 100, ..Heard::default() };
        assert_eq!(customer.heard(), want);
        assert_eq!(customer.counts().lost, 0);
    }

    #[test]
    fn a_chime_is_known_and_silence_is_silence() {
        let mut system = talker(Codec::Pcma);
        let mut customer = talker(Codec::Pcma);
        system.say(at(0), Clip::from_samples(&[0; 160]));
        for now in (0..400).map(at) {
            if let Some(packet) = system.poll(now) {
                customer.handle(now, &packet);
            }
        }
        assert_eq!((customer.heard().silent, customer.heard().chimes), (20, 0));
        system.say(at(400), Clip::chime());
        for now in (400..2_900).map(at) {
            if let Some(packet) = system.poll(now) {
                customer.handle(now, &packet);
            }
        }
        assert_eq!(customer.heard().chimes, 1);
        assert_eq!(customer.heard().agent, 0);
    }

    #[test]
    fn a_stall_is_made_up_for_a_little_and_never_shifts_the_beat() {
        let mut talker = talker(Codec::Pcmu);
        talker.say(at(0), Clip::voice(Voice::Agent));
        assert!(talker.poll(at(0)).is_some());
        let made_up = std::iter::from_fn(|| talker.poll(at(5_003))).count();
        assert_eq!(made_up as u64, CATCH_UP_MAX);
        assert_eq!(talker.poll_timeout(), Some(at(5_020)));
    }

    #[test]
    fn a_hushed_talker_sends_nothing_and_garbage_is_counted() {
        let mut talker = talker(Codec::Pcmu);
        talker.say(at(0), Clip::voice(Voice::Agent));
        talker.hush();
        assert_eq!(talker.poll(at(40)), None);
        assert_eq!(talker.poll_timeout(), None);
        talker.handle(at(40), b"INVITE sip:");
        assert_eq!((talker.broken(), talker.counts().packets), (1, 0));
    }
}

//! What the callee does, and the network before them.
//!
//! ```text
//! Setup ──► Ringing ──► Waiting ──► Talking ──► Done     a person; Waiting ──► Message ──► Done
//!   │          └──────► Recording ────────────► Done     a machine
//!   └──► refused, cancelled ──────────────────► Done
//! ```

use super::carrier::Desk;
use super::carrier_ledger::{CarrierRow, Ender, Heard};
use super::media::{HeardFrames, Line};
use super::sip::{Refuse, UasEvent};
use crate::domain::phone::E164;
use crate::domain::time::{Duration, Mono, Now};
use crate::protocols::audio::clip::Clip;
use crate::protocols::audio::tone::{self, Voice};
use crate::protocols::sdp;
use crate::simulation::population::{Callee, Outcome, Refusal};

/// How often somebody who waits listens for a voice.
const LISTEN: Duration = Duration::from_millis(50);
/// How long after the beginning of the abandon message a callee stays, if nobody ends the call; the
/// law's messages are shorter than this.
const MESSAGE_MAX: Duration = Duration::from_secs(20);
/// A caller that got no reply gives up after timer B, 32 s; then the number is free again.
const SILENT: Duration = Duration::from_secs(33);
/// Frames of an agent's voice before the callee takes it for one: 60 ms.
const VOICE_FRAMES: u64 = 3;

/// What callees say, made once.
pub(super) struct Sounds {
    person: Clip,
    greeting: Clip,
}

impl Sounds {
    pub(super) fn new() -> Self {
        /// No harmonic of a lab voice and no note of the chime: an agent's phone hears that it is
        /// neither, and its agent takes it for a machine.
        const GREETING_HZ: u32 = 650;
        Self {
            person: Clip::voice(Voice::Customer),
            greeting: Clip::from_samples(&tone::steady(GREETING_HZ, 8_000)),
        }
    }
}

enum Phase {
    /// The network looks for the callee.
    Setup { due: Mono },
    /// It rings.
    Ringing { due: Mono },
    /// A person has answered and hears nothing yet.
    Waiting { gives_up: Mono, listens: Mono },
    /// A person talks.
    Talking { until: Mono },
    /// A person hears the abandon message.
    Message { until: Mono },
    /// A machine greets and records.
    Recording { until: Mono, listens: Mono },
    /// Nothing more is to be done.
    Done,
}

/// One call as the far side lives it.
pub(super) struct CarrierCall {
    /// `None` where no number was dialled.
    callee: Option<Callee>,
    early_media: bool,
    crossing: bool,
    phase: Phase,
    line: Option<Line>,
    we_left: bool,
}

impl CarrierCall {
    pub(super) fn new(callee: Option<Callee>, early_media: bool, crossing: bool) -> Self {
        Self { callee, early_media, crossing, phase: Phase::Done, line: None, we_left: false }
    }

    /// The row that its story is written into.
    pub(super) fn row(&self, number: Option<E164>, now: Now) -> CarrierRow {
        let callee = self.callee.as_ref().map_or("no_number", |callee| callee.outcome.name());
        CarrierRow {
            number,
            nth: 1,
            caller: String::new(),
            callee: callee.to_owned(),
            repeated_invites: 0,
            doubled_invites: 0,
            invited_ms: now.utc.as_ms(),
            ringing_ms: None,
            answered_ms: None,
            connected_ms: None,
            ended_ms: None,
            final_status: None,
            acknowledged: false,
            ack_missing: false,
            cancelled: false,
            cancelled_too_late: false,
            ended_by: None,
            bye_answered: None,
            reason: None,
            repeated_by_us: 0,
            heard: None,
            frames: HeardFrames::default(),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Done)
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        match self.phase {
            Phase::Setup { due } | Phase::Ringing { due } => Some(due),
            Phase::Waiting { gives_up, listens } => Some(gives_up.min(listens)),
            Phase::Recording { until, listens } => Some(until.min(listens)),
            Phase::Talking { until } | Phase::Message { until } => Some(until),
            Phase::Done => None,
        }
    }

    /// The INVITE has come.
    pub(super) fn begin(&mut self, now: Now, desk: &mut Desk<'_>, row: &mut CarrierRow) {
        let Some(callee) = &self.callee else {
            desk.switchboard.trying(desk.key);
            self.refuse(now, desk, row, plain(484, "Address Incomplete"));
            return;
        };
        if callee.outcome == Outcome::NoReplyAtAll {
            self.phase = Phase::Setup { due: now.mono + SILENT };
            return;
        }
        desk.switchboard.trying(desk.key);
        self.phase = Phase::Setup { due: now.mono + callee.ring_after };
    }

    /// A deadline has come.
    pub(super) fn handle_timeout(&mut self, now: Now, desk: &mut Desk<'_>, row: &mut CarrierRow) {
        match self.phase {
            Phase::Setup { .. } => self.set_up(now, desk, row),
            Phase::Ringing { .. } => self.rung(now, desk, row),
            Phase::Waiting { gives_up, .. } => self.wait(now, desk, row, gives_up),
            Phase::Recording { until, .. } if now.mono < until => {
                self.listen(now, row);
                self.phase = Phase::Recording { until, listens: now.mono + LISTEN * 4 };
            }
            Phase::Recording { .. } | Phase::Talking { .. } | Phase::Message { .. } => {
                self.leave(now, desk, row);
            }
            Phase::Done => {}
        }
    }

    fn set_up(&mut self, now: Now, desk: &mut Desk<'_>, row: &mut CarrierRow) {
        let Some(callee) = &self.callee else {
            return;
        };
        let rings = match &callee.outcome {
            Outcome::Human { rings, .. }
            | Outcome::Machine { rings, .. }
            | Outcome::NoAnswer { rings }
            | Outcome::Refused(Refusal::Declined { rings }) => *rings,
            Outcome::Busy => {
                let busy = Refuse { reason: Some("Q.850;cause=17"), ..plain(486, "Busy Here") };
                return self.refuse(now, desk, row, busy);
            }
            Outcome::Refused(refusal) => {
                let refusal = refusal.clone();
                return self.refuse_as(now, desk, row, &refusal);
            }
            Outcome::NoReplyAtAll => {
                desk.switchboard.vanish(now.mono, desk.key);
                return self.end(now, row);
            }
        };
        if !rings.is_zero() {
            row.ringing_ms = Some(now.utc.as_ms());
            self.ring(desk);
        }
        self.phase = Phase::Ringing { due: now.mono + rings };
        if rings.is_zero() {
            self.rung(now, desk, row);
        }
    }

    fn ring(&mut self, desk: &mut Desk<'_>) {
        let description = if self.early_media { self.describe(desk) } else { None };
        match description {
            Some((bytes, _)) => desk.switchboard.progress(desk.key, 183, Some(&bytes)),
            None => desk.switchboard.progress(desk.key, 180, None),
        }
    }

    fn rung(&mut self, now: Now, desk: &mut Desk<'_>, row: &mut CarrierRow) {
        let Some(callee) = &self.callee else {
            return;
        };
        match callee.outcome.clone() {
            Outcome::Human { .. } | Outcome::Machine { .. } => self.answer(now, desk, row),
            Outcome::Refused(refusal) => self.refuse_as(now, desk, row, &refusal),
            Outcome::NoAnswer { .. } | Outcome::Busy | Outcome::NoReplyAtAll => {
                let how = plain(480, "Temporarily Unavailable");
                let reason = Some("Q.850;cause=19;text=\"No answer from user\"");
                self.refuse(now, desk, row, Refuse { reason, ..how });
            }
        }
    }

    /// Our description and what it agrees on; opens the line.
    fn describe(&mut self, desk: &mut Desk<'_>) -> Option<(Vec<u8>, sdp::MediaParams)> {
        let offer = desk.switchboard.invite(desk.key)?.body.clone();
        if self.line.is_none() {
            self.line = desk.media.open().ok();
        }
        sdp::answer(&offer, self.line.as_ref()?.local).ok()
    }

    fn answer(&mut self, now: Now, desk: &mut Desk<'_>, row: &mut CarrierRow) {
        let (Some((bytes, params)), Some(callee)) = (self.describe(desk), self.callee.clone())
        else {
            return self.refuse(now, desk, row, plain(488, "Not Acceptable Here"));
        };
        desk.switchboard.answer(now.mono, desk.key, &bytes);
        row.final_status = Some(200);
        row.answered_ms = Some(now.utc.as_ms());
        let sound = match callee.outcome {
            Outcome::Machine { greeting, records, .. } => {
                let until = now.mono + greeting + records;
                self.phase = Phase::Recording { until, listens: now.mono + LISTEN };
                &desk.sounds.greeting
            }
            Outcome::Human { patience, .. } => {
                let gives_up = now.mono + patience;
                self.phase = Phase::Waiting { gives_up, listens: now.mono + LISTEN };
                &desk.sounds.person
            }
            // Somebody else picks up after all, where a CANCEL is to cross an answer.
            Outcome::NoAnswer { .. }
            | Outcome::Busy
            | Outcome::Refused(_)
            | Outcome::NoReplyAtAll => {
                let gives_up = now.mono + desk.population.human_time(8.0);
                self.phase = Phase::Waiting { gives_up, listens: now.mono + LISTEN };
                &desk.sounds.person
            }
        };
        if let Some(line) = &self.line {
            line.say(&params, sound.clone());
        }
    }

    fn refuse_as(
        &mut self,
        now: Now,
        desk: &mut Desk<'_>,
        row: &mut CarrierRow,
        refusal: &Refusal,
    ) {
        let words = refusal.words();
        let retry_after_s = match refusal {
            Refusal::Congested { retry_after_s } => Some(*retry_after_s),
            _ => None,
        };
        let (status, phrase, reason) = (words.status, words.phrase, words.reason);
        self.refuse(now, desk, row, Refuse { status, phrase, reason, retry_after_s });
    }

    fn refuse(&mut self, now: Now, desk: &mut Desk<'_>, row: &mut CarrierRow, how: Refuse<'_>) {
        desk.switchboard.refuse(now.mono, desk.key, how);
        row.final_status = Some(how.status);
        self.end(now, row);
    }

    /// A person listens for a voice, or has waited long enough.
    fn wait(&mut self, now: Now, desk: &mut Desk<'_>, row: &mut CarrierRow, gives_up: Mono) {
        let heard = self.listen(now, row);
        self.phase = if heard.agent >= VOICE_FRAMES {
            Phase::Talking { until: now.mono + self.talk_time(desk) }
        } else if heard.chime > 0 {
            Phase::Message { until: now.mono + MESSAGE_MAX }
        } else if now.mono >= gives_up {
            return self.leave(now, desk, row);
        } else {
            Phase::Waiting { gives_up, listens: now.mono + LISTEN }
        };
    }

    /// How long they talk. Who waits for the agent to end it does not wait for ever.
    fn talk_time(&self, desk: &Desk<'_>) -> Duration {
        match self.callee.as_ref().map(|callee| &callee.outcome) {
            Some(Outcome::Human { talk_time, hangs_up: true, .. }) => *talk_time,
            Some(Outcome::Human { talk_time, .. }) => {
                *talk_time * 2 + desk.population.human_time(60.0)
            }
            _ => desk.population.human_time(30.0),
        }
    }

    fn listen(&self, now: Now, row: &mut CarrierRow) -> HeardFrames {
        let heard = self.line.as_ref().map(Line::heard).unwrap_or_default();
        if heard.agent >= VOICE_FRAMES && row.connected_ms.is_none() {
            row.connected_ms = Some(now.utc.as_ms());
        }
        heard
    }

    /// The callee hangs up.
    pub(super) fn leave(&mut self, now: Now, desk: &mut Desk<'_>, row: &mut CarrierRow) {
        if desk.switchboard.is_established(desk.key) {
            desk.switchboard.hang_up(now.mono, desk.key, 16);
            self.we_left = true;
            row.ended_by = Some(Ender::Callee);
            self.end(now, row);
        }
    }

    fn end(&mut self, now: Now, row: &mut CarrierRow) {
        row.ended_ms.get_or_insert(now.utc.as_ms());
        self.listen_into(row);
        self.line = None;
        self.phase = Phase::Done;
    }

    /// Writes down what was heard so far.
    pub(super) fn listen_into(&self, row: &mut CarrierRow) {
        if let (Some(line), true) = (&self.line, row.answered_ms.is_some()) {
            row.frames = line.heard();
            row.heard = Some(Heard::of(&row.frames));
        }
    }

    /// Something happened on the wire.
    pub(super) fn handle(
        &mut self,
        now: Now,
        desk: &mut Desk<'_>,
        row: &mut CarrierRow,
        event: &UasEvent,
    ) {
        row.repeated_by_us = desk.switchboard.copies_sent(desk.key);
        match event {
            UasEvent::Repeated => row.repeated_invites += 1,
            UasEvent::Doubled => row.doubled_invites += 1,
            UasEvent::Acknowledged => row.acknowledged = true,
            UasEvent::CancelledTooLate => row.cancelled_too_late = true,
            UasEvent::Cancelled => {
                row.cancelled = true;
                row.reason = desk.switchboard.reason(desk.key);
                if self.crossing {
                    self.answer(now, desk, row);
                } else {
                    self.refuse(now, desk, row, plain(487, "Request Terminated"));
                }
            }
            UasEvent::NeverAcknowledged => {
                row.ack_missing = true;
                if row.answered_ms.is_some() {
                    row.ended_by.get_or_insert(Ender::Carrier);
                }
                self.end(now, row);
            }
            UasEvent::HungUp { crossed } => {
                row.reason = desk.switchboard.reason(desk.key);
                // The carrier's own BYE for want of an ACK is nobody's hanging up, and where nobody
                // answered there is nothing to hang up.
                let both = *crossed && self.we_left;
                if row.answered_ms.is_some() {
                    row.ended_by = Some(if both { Ender::Both } else { Ender::Caller });
                }
                self.end(now, row);
            }
            UasEvent::Left(status) => row.bye_answered = *status,
            UasEvent::Over => {}
        }
    }
}

const fn plain(status: u16, phrase: &str) -> Refuse<'_> {
    Refuse { status, phrase, reason: None, retry_after_s: None }
}

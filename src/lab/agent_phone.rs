//! The agents' phones: they answer at once, talk all the time, and do what a test tells them to.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::carrier_ledger::Ender;
use super::clock::Clock;
use super::media::{HeardFrames, Line, Media};
use super::sip::{CallKey, Happening, Link, Refuse, Server, Switchboard, UasEvent, serve};
use crate::domain::time::{Mono, Now};
use crate::protocols::audio::clip::Clip;
use crate::protocols::audio::tone::Voice;
use crate::protocols::sdp::{self, MediaParams};
use crate::simulation::dice::Dice;

/// Legs remembered in the ledger.
const ROWS_MAX: usize = 20_000;

/// What the phones are started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhonesConfig {
    /// Where all of them listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// How many: users `agent1`, `agent2` and so on.
    pub phones: u32,
    /// Where their RTP comes from.
    pub rtp_ip: IpAddr,
    /// Makes their streams.
    pub seed: u64,
}

impl Default for PhonesConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            phones: 1,
            rtp_ip: Ipv4Addr::LOCALHOST.into(),
            seed: 1,
        }
    }
}

/// The phones' side of the books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhonesLedger {
    /// Legs answered.
    pub legs: u64,
    /// Legs that are up.
    pub live: u64,
    /// Legs by who ended them.
    pub hung_up: BTreeMap<Ender, u64>,
    /// 200s that nobody acknowledged for 32 s.
    pub acks_missing: u64,
    /// Requests inside dialogs that do not exist.
    pub strays: u64,
    /// One row a leg, by Call-ID.
    pub rows: BTreeMap<String, PhoneRow>,
}

/// One leg of a phone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneRow {
    /// Which phone, from 1.
    pub phone: u32,
    /// When it answered, UTC milliseconds, as all times here.
    pub answered_ms: i64,
    /// When it was over.
    pub ended_ms: Option<i64>,
    /// Who ended it.
    pub ended_by: Option<Ender>,
    /// The 200 was acknowledged.
    pub acknowledged: bool,
    /// It was given up for want of an ACK.
    pub ack_missing: bool,
    /// The phone lost its power in the middle.
    pub vanished: bool,
    /// What it heard all in all.
    pub frames: HeardFrames,
}

/// Running phones; they stop when they are dropped.
pub struct AgentPhones {
    core: Arc<Mutex<Core>>,
    wake: Arc<Notify>,
    clock: Clock,
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl AgentPhones {
    /// Starts them.
    ///
    /// # Errors
    /// The address cannot be listened on, or the system gives no thread for media.
    pub async fn start(config: PhonesConfig, clock: Clock) -> io::Result<Self> {
        let socket = UdpSocket::bind(config.listen).await?;
        let local = socket.local_addr()?;
        let media = Media::start("lab-phones-rtp", config.rtp_ip, !config.seed, clock.clone())?;
        let link = Link::new(0.0, config.seed);
        let core = Arc::new(Mutex::new(Core::new(&config, local, media, clock())));
        let wake = Arc::new(Notify::new());
        let serving = serve(socket, core.clone(), wake.clone(), clock.clone(), link);
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the lab phones' socket failed");
            }
        });
        Ok(Self { core, wake, clock, local, task })
    }

    /// Where they listen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The address of phone `number`, as an agent's settings name it.
    pub fn uri(&self, number: u32) -> String {
        format!("sip:agent{number}@{}", self.local)
    }

    /// The phone loses its power: no answer to anything, no RTP.
    pub fn vanish(&self, number: u32) {
        self.act(number, |core, now| core.vanish(now, number));
    }

    /// It has power again, and knows nothing of a call.
    pub fn come_back(&self, number: u32) {
        self.act(number, |core, _| {
            if let Some(phone) = core.phones.get_mut(&number) {
                phone.vanished = false;
            }
        });
    }

    /// It hangs up.
    pub fn hang_up(&self, number: u32) {
        self.act(number, |core, now| core.hang_up(now, number));
    }

    /// It suppresses silence from here on: no RTP, but reports every 5 s.
    pub fn mute(&self, number: u32) {
        self.act(number, |core, _| {
            if let Some(leg) = core.leg(number) {
                leg.line.hush();
            }
        });
    }

    /// It talks again.
    pub fn unmute(&self, number: u32) {
        self.act(number, |core, _| {
            let voice = core.voice.clone();
            if let Some(leg) = core.leg(number) {
                leg.line.say(&leg.params, voice);
            }
        });
    }

    /// What phone `number` has heard on its present leg.
    pub fn heard(&self, number: u32) -> HeardFrames {
        self.lock().leg(number).map(|leg| leg.line.heard()).unwrap_or_default()
    }

    /// Whether it is in a call.
    pub fn is_up(&self, number: u32) -> bool {
        self.lock().leg(number).is_some()
    }

    /// Phones in a call.
    pub fn live_legs(&self) -> usize {
        self.lock().phones.values().filter(|phone| phone.leg.is_some()).count()
    }

    /// What they saw so far.
    pub fn ledger(&self) -> PhonesLedger {
        self.lock().ledger()
    }

    fn act(&self, number: u32, act: impl FnOnce(&mut Core, Now)) {
        let now = (self.clock)();
        let mut core = self.lock();
        if core.phones.contains_key(&number) {
            act(&mut core, now);
        }
        drop(core);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AgentPhones {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Phone {
    vanished: bool,
    leg: Option<Leg>,
}

struct Leg {
    key: CallKey,
    line: Line,
    params: MediaParams,
}

struct Core {
    voice: Clip,
    media: Media,
    switchboard: Switchboard,
    phones: BTreeMap<u32, Phone>,
    /// Phone and Call-ID of each call not over.
    calls: BTreeMap<CallKey, (u32, String)>,
    rows: BTreeMap<String, PhoneRow>,
}

impl Core {
    fn new(config: &PhonesConfig, local: SocketAddr, media: Media, now: Now) -> Self {
        const OF_PHONES: u64 = 9;
        let salt = Dice::of(config.seed, &[OF_PHONES, now.utc.as_ms().unsigned_abs()]).bits();
        Self {
            voice: Clip::voice(Voice::Agent),
            media,
            switchboard: Switchboard::new(local, salt),
            phones: (1..=config.phones).map(|number| (number, Phone::default())).collect(),
            calls: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    fn leg(&mut self, number: u32) -> Option<&mut Leg> {
        self.phones.get_mut(&number)?.leg.as_mut()
    }

    fn ledger(&self) -> PhonesLedger {
        let mut ledger = PhonesLedger { rows: self.rows.clone(), ..PhonesLedger::default() };
        for phone in self.phones.values() {
            let Some(leg) = &phone.leg else {
                continue;
            };
            let id = self.calls.get(&leg.key).map(|(_, id)| id);
            if let Some(row) = id.and_then(|id| ledger.rows.get_mut(id)) {
                row.frames = leg.line.heard();
            }
        }
        ledger.strays = self.switchboard.strays();
        for row in ledger.rows.values() {
            ledger.legs += 1;
            ledger.live += u64::from(row.ended_ms.is_none());
            ledger.acks_missing += u64::from(row.ack_missing);
            if let Some(by) = row.ended_by {
                *ledger.hung_up.entry(by).or_default() += 1;
            }
        }
        ledger
    }

    fn row(&mut self, key: CallKey) -> Option<&mut PhoneRow> {
        let (_, id) = self.calls.get(&key)?;
        self.rows.get_mut(id)
    }

    /// The phone's leg is over; its row is given back to be completed.
    fn end(&mut self, now: Now, key: CallKey) -> Option<&mut PhoneRow> {
        let (number, _) = *self.calls.get(&key).as_ref()?;
        let phone = self.phones.get_mut(number)?;
        let heard = match &phone.leg {
            Some(leg) if leg.key == key => {
                let heard = leg.line.heard();
                phone.leg = None;
                Some(heard)
            }
            _ => None,
        };
        let row = self.row(key)?;
        row.ended_ms.get_or_insert(now.utc.as_ms());
        if let Some(heard) = heard {
            row.frames = heard;
        }
        Some(row)
    }

    fn vanish(&mut self, now: Now, number: u32) {
        let Some(phone) = self.phones.get_mut(&number) else {
            return;
        };
        phone.vanished = true;
        if let Some(key) = phone.leg.as_ref().map(|leg| leg.key) {
            self.switchboard.vanish(now.mono, key);
            if let Some(row) = self.end(now, key) {
                row.vanished = true;
            }
        }
    }

    fn hang_up(&mut self, now: Now, number: u32) {
        let Some(key) = self.leg(number).map(|leg| leg.key) else {
            return;
        };
        self.switchboard.hang_up(now.mono, key, 16);
        if let Some(row) = self.end(now, key) {
            row.ended_by = Some(Ender::Callee);
        }
    }

    fn follow(&mut self, now: Now) {
        while let Some(happening) = self.switchboard.poll_happening() {
            match happening {
                Happening::New(key) => self.open(now, key),
                Happening::Call(key, event) => self.handle(now, key, &event),
            }
        }
    }

    fn open(&mut self, now: Now, key: CallKey) {
        let Some(invite) = self.switchboard.invite(key) else {
            return;
        };
        let number = user(invite.uri.as_bytes()).and_then(number_of);
        let (call_id, offer) = (invite.common.call_id.clone(), invite.body.clone());
        let refuse = |status, phrase| Refuse { status, phrase, reason: None, retry_after_s: None };
        let Some(number) = number.filter(|number| self.phones.contains_key(number)) else {
            return self.switchboard.refuse(now.mono, key, refuse(404, "Not Found"));
        };
        let answer = self.media.open().ok().and_then(|line| {
            let (bytes, params) = sdp::answer(&offer, line.local).ok()?;
            Some((line, bytes, params))
        });
        let Some((line, bytes, params)) = answer else {
            return self.switchboard.refuse(now.mono, key, refuse(488, "Not Acceptable Here"));
        };
        // A softphone set to answer by itself takes the newest call: the one of a daemon that
        // was started again, while the leg of the one that died still seems to be up.
        self.hang_up(now, number);
        self.switchboard.answer(now.mono, key, &bytes);
        line.say(&params, self.voice.clone());
        if let Some(phone) = self.phones.get_mut(&number) {
            phone.leg = Some(Leg { key, line, params });
        }
        if self.rows.len() < ROWS_MAX {
            let answered_ms = now.utc.as_ms();
            let row = PhoneRow { phone: number, answered_ms, ..PhoneRow::default() };
            self.rows.insert(call_id.clone(), row);
        }
        self.calls.insert(key, (number, call_id));
    }

    fn handle(&mut self, now: Now, key: CallKey, event: &UasEvent) {
        match event {
            UasEvent::Repeated
            | UasEvent::Doubled
            | UasEvent::Cancelled
            | UasEvent::CancelledTooLate
            | UasEvent::Left(_) => {}
            UasEvent::Acknowledged => {
                if let Some(row) = self.row(key) {
                    row.acknowledged = true;
                }
            }
            UasEvent::NeverAcknowledged => {
                if let Some(row) = self.end(now, key) {
                    row.ack_missing = true;
                    row.ended_by.get_or_insert(Ender::Carrier);
                }
            }
            UasEvent::HungUp { crossed } => {
                if let Some(row) = self.end(now, key) {
                    let both = *crossed && row.ended_by == Some(Ender::Callee);
                    row.ended_by = Some(if both { Ender::Both } else { Ender::Caller });
                }
            }
            UasEvent::Over => {
                self.calls.remove(&key);
            }
        }
    }
}

/// The user part of the first `sip:` URI in a datagram's start line or in a URI.
fn user(bytes: &[u8]) -> Option<&str> {
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let (_, rest) = std::str::from_utf8(line).ok()?.split_once("sip:")?;
    Some(rest.split_once('@')?.0)
}

fn number_of(user: &str) -> Option<u32> {
    user.strip_prefix("agent")?.parse().ok()
}

impl Server for Core {
    fn handle_datagram(&mut self, now: Now, source: SocketAddr, bytes: &[u8]) {
        let phone = user(bytes).and_then(number_of).and_then(|number| self.phones.get(&number));
        if phone.is_some_and(|phone| phone.vanished) {
            return;
        }
        self.switchboard.handle_datagram(now.mono, source, bytes);
        self.follow(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.switchboard.handle_timeout(now.mono);
        self.follow(now);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.switchboard.poll_timeout()
    }

    fn poll_datagram(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.switchboard.poll_datagram()
    }
}

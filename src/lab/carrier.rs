//! A carrier on loopback: real SIP and RTP, and a population behind it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::carrier_call::{CarrierCall, Sounds};
use super::carrier_ledger::{CarrierLedger, CarrierRow};
use super::clock::Clock;
use super::media::Media;
use super::sip::{CallKey, Happening, Link, Schedule, Server, Switchboard, UasEvent, serve};
use crate::domain::phone::E164;
use crate::domain::time::{Mono, Now};
use crate::protocols::sip::uri::Uri;
use crate::simulation::dice::Dice;
use crate::simulation::population::{Population, PopulationParams};

/// Calls remembered in the ledger; more are carried and not written down.
const ROWS_MAX: usize = 200_000;

/// What a carrier is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CarrierConfig {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The people behind it; `speed` is in here.
    pub population: PopulationParams,
    /// Makes them.
    pub seed: u64,
    /// Where its RTP comes from.
    pub rtp_ip: IpAddr,
    /// Share of SIP datagrams lost, each direction by itself.
    pub loss: f64,
    /// Share of ringing calls announced by 183 with a session description; the others by 180.
    pub early_media: f64,
    /// Share of CANCELs that cross a 200, because somebody has just picked up.
    pub crossing: f64,
}

impl Default for CarrierConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            population: PopulationParams::default(),
            seed: 1,
            rtp_ip: Ipv4Addr::LOCALHOST.into(),
            loss: 0.0,
            early_media: 0.0,
            crossing: 0.0,
        }
    }
}

/// A running carrier; it stops when it is dropped.
pub struct Carrier {
    core: Arc<Mutex<Core>>,
    wake: Arc<Notify>,
    clock: Clock,
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl Carrier {
    /// Starts one.
    ///
    /// # Errors
    /// The address cannot be listened on, or the system gives no thread for media.
    pub async fn start(config: CarrierConfig, clock: Clock) -> io::Result<Self> {
        let socket = UdpSocket::bind(config.listen).await?;
        let local = socket.local_addr()?;
        let media = Media::start("lab-carrier-rtp", config.rtp_ip, config.seed, clock.clone())?;
        let link = Link::new(config.loss, config.seed);
        let core = Arc::new(Mutex::new(Core::new(config, local, media, clock())));
        let wake = Arc::new(Notify::new());
        let serving = serve(socket, core.clone(), wake.clone(), clock.clone(), link);
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the lab carrier's socket failed");
            }
        });
        Ok(Self { core, wake, clock, local, task })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What it saw so far.
    pub fn ledger(&self) -> CarrierLedger {
        let core = self.lock();
        let mut rows = core.rows.clone();
        for (key, call) in &core.calls {
            if let Some(row) = core.ids.get(key).and_then(|id| rows.get_mut(id)) {
                call.listen_into(row);
            }
        }
        let mut ledger = CarrierLedger::of(rows);
        ledger.malformed = core.switchboard.malformed();
        ledger.strays = core.switchboard.strays();
        ledger
    }

    /// Calls that ring or talk.
    pub fn live_calls(&self) -> usize {
        self.lock().calls.values().filter(|call| call.is_live()).count()
    }

    /// RTP sockets open.
    pub fn rtp_lines(&self) -> usize {
        self.lock().media.lines()
    }

    /// Every answered callee hangs up.
    pub fn hang_up_all(&self) {
        let now = (self.clock)();
        self.lock().hang_up_all(now);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Core {
    config: CarrierConfig,
    population: Population,
    dice: Dice,
    sounds: Sounds,
    media: Media,
    switchboard: Switchboard,
    calls: BTreeMap<CallKey, CarrierCall>,
    schedule: Schedule<CallKey>,
    /// Call-IDs of the calls not over.
    ids: BTreeMap<CallKey, String>,
    rows: BTreeMap<String, CarrierRow>,
    tries: BTreeMap<E164, u32>,
}

impl Core {
    fn new(config: CarrierConfig, local: SocketAddr, media: Media, now: Now) -> Self {
        const OF_CARRIER: u64 = 8;
        // Two runs on one port must not share tags: the clock differs where the seed does not.
        let salt = Dice::of(config.seed, &[OF_CARRIER, now.utc.as_ms().unsigned_abs()]).bits();
        Self {
            population: Population::new(config.seed, config.population.clone()),
            dice: Dice::of(config.seed, &[OF_CARRIER]),
            sounds: Sounds::new(),
            media,
            switchboard: Switchboard::new(local, salt),
            calls: BTreeMap::new(),
            schedule: Schedule::default(),
            ids: BTreeMap::new(),
            rows: BTreeMap::new(),
            tries: BTreeMap::new(),
            config,
        }
    }

    fn hang_up_all(&mut self, now: Now) {
        let keys: Vec<_> = self.calls.keys().copied().collect();
        for key in keys {
            self.with(now, key, |call, desk, row| call.leave(now, desk, row));
        }
        self.follow(now);
    }

    /// Takes everything that happened to calls.
    fn follow(&mut self, now: Now) {
        while let Some(happening) = self.switchboard.poll_happening() {
            match happening {
                Happening::New(key) => self.open(now, key),
                Happening::Call(key, UasEvent::Over) => {
                    self.calls.remove(&key);
                    self.ids.remove(&key);
                    self.schedule.set(key, None);
                }
                Happening::Call(key, event) => {
                    self.with(now, key, |call, desk, row| call.handle(now, desk, row, &event));
                }
            }
        }
    }

    fn open(&mut self, now: Now, key: CallKey) {
        let Some(invite) = self.switchboard.invite(key) else {
            return;
        };
        let user = |uri: &str| Uri::parse(uri).and_then(|uri| uri.user_unescaped());
        let called = user(&invite.uri).unwrap_or_default();
        let caller = user(&invite.common.from.uri).unwrap_or_default();
        let call_id = invite.common.call_id.clone();
        // Some profiles write numbers without their plus sign.
        let number = E164::parse(&called).or_else(|_| E164::parse(&format!("+{called}"))).ok();
        let nth = number.map_or(1, |number| {
            let tries = self.tries.entry(number).or_default();
            *tries += 1;
            *tries
        });
        let callee = number.map(|number| self.population.callee(number.get(), nth));
        let call = CarrierCall::new(
            callee,
            self.dice.chance(self.config.early_media),
            self.dice.chance(self.config.crossing),
        );
        if self.rows.len() < ROWS_MAX {
            let mut row = call.row(number, now);
            row.nth = nth;
            row.caller = caller;
            self.rows.insert(call_id.clone(), row);
        }
        self.ids.insert(key, call_id);
        self.calls.insert(key, call);
        self.with(now, key, |call, desk, row| call.begin(now, desk, row));
    }

    /// Lets a call act on its row, then takes its deadline.
    fn with(
        &mut self,
        now: Now,
        key: CallKey,
        act: impl FnOnce(&mut CarrierCall, &mut Desk<'_>, &mut CarrierRow),
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let mut desk = Desk {
            key,
            switchboard: &mut self.switchboard,
            media: &mut self.media,
            sounds: &self.sounds,
            population: &self.population,
        };
        let mut forgotten = call.row(None, now);
        let row = self.ids.get(&key).and_then(|id| self.rows.get_mut(id)).unwrap_or(&mut forgotten);
        act(call, &mut desk, row);
        self.schedule.set(key, call.poll_timeout());
    }
}

/// What a call may use while it acts.
pub(super) struct Desk<'a> {
    pub(super) key: CallKey,
    pub(super) switchboard: &'a mut Switchboard,
    pub(super) media: &'a mut Media,
    pub(super) sounds: &'a Sounds,
    pub(super) population: &'a Population,
}

impl Server for Core {
    fn handle_datagram(&mut self, now: Now, source: SocketAddr, bytes: &[u8]) {
        self.switchboard.handle_datagram(now.mono, source, bytes);
        self.follow(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.switchboard.handle_timeout(now.mono);
        self.follow(now);
        while let Some(key) = self.schedule.due(now.mono) {
            self.with(now, key, |call, desk, row| call.handle_timeout(now, desk, row));
            self.follow(now);
        }
    }

    fn poll_timeout(&self) -> Option<Mono> {
        [self.schedule.next(), self.switchboard.poll_timeout()].into_iter().flatten().min()
    }

    fn poll_datagram(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.switchboard.poll_datagram()
    }
}

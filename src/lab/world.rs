//! Everything a dialer meets, started together: carrier, phones with their agents, CRM.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::agent_desk::Orders;
use super::agent_phone::{AgentPhones, PhonesConfig, PhonesLedger};
use super::carrier::{Carrier, CarrierConfig};
use super::carrier_ledger::CarrierLedger;
use super::clock::Clock;
use super::crm::{Crm, CrmConfig};
use super::crm_ledger::CrmLedger;
use super::desks::{Desks, DesksConfig, DesksLedger};

/// What a world is started with.
#[derive(Clone)]
pub struct WorldConfig {
    /// The carrier; its population and seed hold for the agents too.
    pub carrier: CarrierConfig,
    /// The phones, one an agent.
    pub phones: PhonesConfig,
    /// The CRM.
    pub crm: CrmConfig,
}

impl WorldConfig {
    /// A world on loopback with ports of the system's choice.
    pub fn on_loopback(contacts: u32, agents: u32, seed: u64, speed: f64) -> Self {
        let mut carrier = CarrierConfig { seed, ..CarrierConfig::default() };
        carrier.population.speed = speed;
        let phones = PhonesConfig { phones: agents, seed, ..PhonesConfig::default() };
        let listen = carrier.listen;
        let crm = CrmConfig { listen, contacts, seed, secret: None, token: None };
        Self { carrier, phones, crm }
    }
}

/// Where everything is: what the daemon has to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldInfo {
    /// The carrier's SIP address.
    pub carrier: String,
    /// The phones' SIP URIs, the first agent's first.
    pub phones: Vec<String>,
    /// Where the segment is pulled from.
    pub segment_url: String,
    /// The mapping that `list pull` needs.
    pub mapping: String,
    /// Where CRM events are posted to.
    pub events_url: String,
}

/// Everybody's books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldLedger {
    /// The carrier's.
    pub carrier: CarrierLedger,
    /// The phones'.
    pub phones: PhonesLedger,
    /// The agents', once they are seated.
    pub desks: DesksLedger,
    /// The CRM's.
    pub crm: CrmLedger,
}

/// What goes on at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldLive {
    /// Calls that ring or talk.
    pub calls: usize,
    /// Phones in a call.
    pub legs: usize,
    /// RTP sockets of the carrier.
    pub rtp_lines: usize,
}

/// How the agents stop taking calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Their phones lose power: a dialer that relied on them has answered calls and nobody to
    /// take them.
    #[default]
    Vanish,
    /// They ask for a break.
    Pause,
    /// They stay in what they are doing.
    Freeze,
}

/// A running world; it ends when it is dropped.
pub struct World {
    carrier: Carrier,
    phones: Arc<AgentPhones>,
    crm: Crm,
    desks: Mutex<Option<Desks>>,
    config: WorldConfig,
    clock: Clock,
}

impl World {
    /// Starts everybody but the agents, who need a daemon: [`Self::seat_agents`].
    ///
    /// # Errors
    /// An address cannot be listened on, or the system gives no thread for media.
    pub async fn start(config: WorldConfig, clock: Clock) -> io::Result<Self> {
        let carrier = Carrier::start(config.carrier.clone(), clock.clone()).await?;
        let phones = AgentPhones::start(config.phones.clone(), clock.clone()).await?;
        let crm = Crm::start(config.crm.clone(), clock.clone()).await?;
        let phones = Arc::new(phones);
        Ok(Self { carrier, phones, crm, desks: Mutex::new(None), config, clock })
    }

    /// Seats an agent at each phone, as many as there are tokens; those who sat there leave.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn seat_agents(&self, api: String, tokens: Vec<String>) -> io::Result<()> {
        let config = DesksConfig {
            api,
            tokens,
            population: self.config.carrier.population.clone(),
            seed: self.config.carrier.seed,
        };
        let desks = Desks::start(config, self.phones.clone(), self.clock.clone());
        *self.lock() = Some(desks.map_err(io::Error::other)?);
        Ok(())
    }

    /// What the daemon has to be told.
    pub fn info(&self) -> WorldInfo {
        WorldInfo {
            carrier: self.carrier.local_addr().to_string(),
            phones: (1..=self.config.phones.phones).map(|n| self.phones.uri(n)).collect(),
            segment_url: self.crm.segment_url(),
            mapping: Crm::mapping().to_owned(),
            events_url: self.crm.events_url(),
        }
    }

    /// Everybody's books as they stand.
    pub fn ledger(&self) -> WorldLedger {
        WorldLedger {
            carrier: self.carrier.ledger(),
            phones: self.phones.ledger(),
            desks: self.lock().as_ref().map(Desks::ledger).unwrap_or_default(),
            crm: self.crm.ledger(),
        }
    }

    /// What goes on at the moment.
    pub fn live(&self) -> WorldLive {
        WorldLive {
            calls: self.carrier.live_calls(),
            legs: self.phones.live_legs(),
            rtp_lines: self.carrier.rtp_lines(),
        }
    }

    /// The agents stop taking calls.
    pub fn stop_agents(&self, how: Stop) {
        let orders = match how {
            Stop::Pause => Orders::Pause,
            Stop::Freeze => Orders::Freeze,
            Stop::Vanish => {
                for number in 1..=self.config.phones.phones {
                    self.phones.vanish(number);
                }
                // Without a phone there is nothing to log in to.
                Orders::Freeze
            }
        };
        self.order(orders);
    }

    /// The agents work again, and their phones too.
    pub fn let_agents_go_on(&self) {
        for number in 1..=self.config.phones.phones {
            self.phones.come_back(number);
        }
        self.order(Orders::Work);
    }

    fn order(&self, orders: Orders) {
        if let Some(desks) = self.lock().as_ref() {
            desks.order(orders);
        }
    }

    /// The carrier.
    pub fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// The phones.
    pub fn phones(&self) -> &AgentPhones {
        &self.phones
    }

    /// The CRM.
    pub fn crm(&self) -> &Crm {
        &self.crm
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Desks>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

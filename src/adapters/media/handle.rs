//! What the rest of the program holds of the media thread: commands in, events out.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mio::Waker;

use super::ports::{Pair, Ports};
use crate::domain::ids::LegId;
use crate::protocols::audio::clip::Clip;
use crate::protocols::rtp::session::LegRole;
use crate::protocols::rtp::stats::LegStats;
use crate::protocols::sdp::MediaParams;

/// Commands waiting for the thread, which empties them at least every 20 ms: more than a few for
/// each of a thousand legs in that time. Whoever is faster waits.
pub(super) const COMMANDS_MAX: usize = 4_096;

/// Where media lives and what can be played.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// The address ports are bound on.
    pub address: IpAddr,
    /// The address told to others, where it is another (behind NAT, or bound to all).
    pub advertise: Option<IpAddr>,
    /// Ports to use, two for each leg; `0..=0` lets the system choose.
    pub ports: RangeInclusive<u16>,
    /// Messages by name; see [`super::read_messages`]. The empty name is the built-in chime.
    pub messages: BTreeMap<String, Clip>,
}

/// What happened on a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEvent {
    /// An agent's phone is heard: for the first time, or again.
    Fresh(LegId),
    /// Nothing came from an agent's phone: RTP for 5 s, RTCP for 15 s.
    Stale(LegId),
    /// The last packet of a message was sent.
    Played(LegId),
    /// A key was pressed on this leg.
    Digit(LegId, char),
    /// They hear each other.
    Bridged {
        /// The customer's leg.
        customer: LegId,
        /// The agent's leg.
        agent: LegId,
    },
    /// The leg's ports are free again.
    Closed(LegId, LegStats),
    /// A command could not be carried out, in words.
    Failed(LegId, String),
    /// A message is not there; the built-in one is played in its place.
    Substituted(LegId, String),
}

/// Why a leg cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Every pair is in use.
    #[error("no media ports are free: widen the range, or dial with fewer lines")]
    NoPorts,
    /// The system refuses a socket.
    #[error("cannot bind a media port")]
    Bind(#[source] io::Error),
    /// The thread has ended.
    #[error("media has stopped")]
    Stopped,
}

#[derive(Debug)]
pub(super) enum Command {
    Open { leg: LegId, role: LegRole, pair: Pair },
    Connect { leg: LegId, remote: MediaParams },
    Bridge { customer: LegId, agent: LegId },
    Unbridge(LegId),
    Play { leg: LegId, message: String },
    Close(LegId),
    Stop,
}

/// Gives commands to the media thread. They are carried out in order, within 20 ms and mostly at
/// once; what comes of them is told by [`MediaEvent`]s. The thread ends when the last handle is
/// dropped.
#[derive(Debug, Clone)]
pub struct MediaHandle {
    pub(super) commands: SyncSender<Command>,
    pub(super) waker: Arc<Waker>,
    pub(super) ports: Arc<Ports>,
    pub(super) advertise: IpAddr,
    pub(super) thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl MediaHandle {
    /// Binds a pair of ports for a leg and gives the address for the session description. Nothing
    /// is sent or taken before [`Self::connect`].
    ///
    /// # Errors
    /// [`MediaError`]: no ports, or no thread.
    pub fn open(&self, leg: LegId, role: LegRole) -> Result<SocketAddr, MediaError> {
        let pair = self.ports.open()?;
        let port = pair.rtp.local_addr().map_err(MediaError::Bind)?.port();
        if self.give(Command::Open { leg, role, pair }) {
            Ok(SocketAddr::new(self.advertise, port))
        } else {
            Err(MediaError::Stopped)
        }
    }

    /// The answer came: media flows, silence first. May be repeated with a newer description.
    pub fn connect(&self, leg: LegId, remote: MediaParams) {
        self.give(Command::Connect { leg, remote });
    }

    /// Lets two legs hear each other; either is taken out of an earlier bridge.
    pub fn bridge(&self, customer: LegId, agent: LegId) {
        self.give(Command::Bridge { customer, agent });
    }

    /// Takes a leg and its partner apart; both are sent silence.
    pub fn unbridge(&self, leg: LegId) {
        self.give(Command::Unbridge(leg));
    }

    /// Plays a message by its name, over a bridge too; [`MediaEvent::Played`] tells its end. Where
    /// no message has that name, the built-in one is played and [`MediaEvent::Substituted`] says so.
    pub fn play(&self, leg: LegId, message: &str) {
        self.give(Command::Play { leg, message: message.to_owned() });
    }

    /// Ends a leg's media and frees its ports; [`MediaEvent::Closed`] brings its accounts.
    pub fn close(&self, leg: LegId) {
        self.give(Command::Close(leg));
    }

    /// Closes every leg and ends the thread; returns when it has ended, within about 20 ms.
    pub fn stop(&self) {
        self.give(Command::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the media thread ended in a panic");
        }
    }

    /// False once the thread has ended.
    fn give(&self, command: Command) -> bool {
        let given = self.commands.send(command).is_ok();
        if let Err(error) = self.waker.wake() {
            // It costs at most 20 ms: the thread looks for commands at every beat.
            tracing::debug!(%error, "cannot wake the media thread");
        }
        given
    }
}

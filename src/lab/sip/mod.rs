//! The lab's own user agent server: it shares our wire format and nothing else with the dialer, so
//! that a mistake about transactions or dialogs cannot hide on both sides.

mod link;
mod schedule;
mod switchboard;
mod uas;

pub(super) use link::{Link, Server, serve};
pub(super) use schedule::Schedule;
pub(super) use switchboard::{CallKey, Happening, Switchboard};
pub(super) use uas::{Refuse, UasEvent};

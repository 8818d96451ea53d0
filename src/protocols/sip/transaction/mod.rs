//! Transactions over UDP (RFC 3261 §17 with RFC 6026): who sends again, and until when.
//!
//! | timer | length       | where                | what                                        |
//! |-------|--------------|----------------------|---------------------------------------------|
//! | A     | T1, doubling | [`invite_client`]    | INVITE goes out again                       |
//! | B     | 64·T1        | [`invite_client`]    | INVITE was never answered                   |
//! | D     | 32 s         | [`invite_client`]    | a repeated 3xx–6xx is acknowledged again    |
//! | E     | T1 up to T2  | [`client`]           | another request goes out again              |
//! | F     | 64·T1        | [`client`]           | another request was never answered          |
//! | G     | T1 up to T2  | [`invite_server`]    | our final response goes out again           |
//! | H     | 64·T1        | [`invite_server`]    | its ACK never came                          |
//! | I     | T4           | [`invite_server`]    | a repeated ACK is absorbed                  |
//! | J     | 64·T1        | [`server`]           | a repeated request gets its response again  |
//! | K     | T4           | [`client`]           | a repeated response is absorbed             |
//! | M     | 64·T1        | [`invite_client`]    | further 2xx (forks, repeats) are delivered  |
//!
//! C belongs to proxies and L to servers that accept an INVITE; we are neither.

pub mod client;
pub mod invite_client;
pub mod invite_server;
pub mod server;

use crate::domain::time::Duration;

/// The round trip the RFC assumes (RFC 3261 §17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// The longest wait between two sendings of a request other than INVITE (§17.1.2.2).
pub const T2: Duration = Duration::from_secs(4);
/// How long a datagram may live in the network (§17.1.2.2).
pub const T4: Duration = Duration::from_secs(5);
/// Timers B, F, H, J and M: how long either side keeps trying (§17.1.1.2).
pub const SIXTY_FOUR_T1: Duration = Duration::from_secs(32);

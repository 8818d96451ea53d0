//! HTTP: the API under `/api/v1`, pages, event streams.
//!
//! One file per noun; `auth` says who asks, `error` how refusals look, `routes` which paths there
//! are, `openapi` how all of it is described.

pub mod agent_desk;
pub mod agents;
pub mod attempts;
pub mod audit;
pub mod auth;
pub mod calls;
pub mod campaign_settings;
pub mod campaigns;
pub mod crm_endpoints;
pub mod dnc;
pub mod error;
pub mod events;
pub mod extract;
pub mod health;
pub mod history;
pub mod host;
pub mod idempotency;
pub mod jobs;
pub mod lists;
pub mod openapi;
pub mod password;
pub mod pulls;
pub mod routes;
pub mod schemas;
pub mod server;
pub mod session;
pub mod state;
pub mod token;
pub mod tokens;
pub mod trunks;
pub mod ui;

pub use history::keep_history;
pub use server::{BODY_MAX, router};
pub use session::first_start_link;
pub use state::{ApiOptions, ApiState, Clock, ProfileCheck};
pub use tokens::mint_token;

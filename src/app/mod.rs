//! The program: command line, configuration, wiring, and the driver that runs the engine.

pub mod agent;
pub mod board;
pub mod book;
pub mod campaign;
mod carry_out;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod config_file;
pub mod daemon;
pub mod demo;
pub mod dial_plan;
pub mod driver;
pub mod lab;
pub mod list;
pub mod live_views;
pub mod output;
mod reads;
pub mod recovery;
pub mod replay;
mod requests;
pub mod run;
pub mod run_log;
pub mod sip_profiles;
pub mod trunk;

//! The program: command line, configuration, wiring, and the driver that runs the engine.

pub mod agent;
pub mod board;
pub mod campaign;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod config_file;
pub mod demo;
pub mod dial_plan;
pub mod lab;
pub mod list;
pub mod output;
pub mod replay;
pub mod run;
pub mod run_log;
pub mod sip_profiles;
pub mod trunk;

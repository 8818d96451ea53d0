//! HTTP: the API under `/api/v1`, pages, event streams.
pub mod ui;

//! The API over real HTTP and a real store; at the other end of the gate stands a driver that
//! answers as it is told.

mod access;
mod attempts;
mod contract;
mod desk;
mod docs;
mod events;
mod manager;
mod openapi;
mod world;

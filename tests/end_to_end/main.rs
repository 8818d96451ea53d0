//! The whole program from outside: the daemon and the lab are processes of their own, as they are
//! in life, and what is true is read from their ledgers.

mod drain;
mod kill;
mod support;

//! Sockets for the protocol machines.

//! The thread with real sockets on loopback.

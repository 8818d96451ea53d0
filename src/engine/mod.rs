//! The dialer itself: one deterministic machine. Inputs and `now` in, outputs out.

//! SIP against the outside world: the torture messages of RFC 4475, and SIPp as the callee.

mod rfc4475;
mod sipp;

//! The lab proved by itself: what the demo and the end-to-end tests count on.

mod carrier;
mod crm;
mod phones;
mod uac;

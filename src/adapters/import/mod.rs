//! Lists from files.

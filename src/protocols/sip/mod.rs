//! SIP (RFC 3261) as a user agent client, sans-IO.

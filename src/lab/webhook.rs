//! Checks a webhook as a receiver would: Standard Webhooks 1.0, written from its text alone and not
//! from our sender, so that the two cannot be wrong together.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::time::Utc;

/// How far the sender's clock may differ, as the standard's own libraries have it.
const TOLERANCE: Duration = Duration::from_mins(5);

/// Why a post is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsigned {
    /// One of the three headers is missing or unreadable.
    #[error("webhook headers")]
    Headers,
    /// Older or newer than five minutes: perhaps a replay.
    #[error("webhook timestamp")]
    Stale,
    /// None of the signatures is ours.
    #[error("webhook signature")]
    Signature,
}

/// The three headers of a post.
pub(super) struct Signed<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`, seconds.
    pub timestamp: &'a str,
    /// `webhook-signature`: one or more, divided by blanks.
    pub signature: &'a str,
}

/// The key of a `whsec_` secret.
pub(super) fn key(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()
}

/// Whether `body` was signed with `key` at about `now`.
pub(super) fn verify(
    key: &[u8],
    now: Utc,
    signed: &Signed<'_>,
    body: &[u8],
) -> Result<(), Unsigned> {
    let sent_s: i64 = signed.timestamp.parse().map_err(|_| Unsigned::Headers)?;
    let apart_s = (now.as_ms() / 1_000).saturating_sub(sent_s).unsigned_abs();
    if apart_s > TOLERANCE.as_secs() {
        return Err(Unsigned::Stale);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Unsigned::Signature)?;
    for part in [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    let is_ours = signed
        .signature
        .split(' ')
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .any(|tag| mac.clone().verify_slice(&tag).is_ok());
    if is_ours { Ok(()) } else { Err(Unsigned::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's own documentation.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn check(now_s: i64, signature: &str, body: &[u8]) -> Result<(), Unsigned> {
        let signed = Signed { id: ID, timestamp: "1614265330", signature };
        verify(&key(SECRET).unwrap(), Utc::from_ms(now_s * 1_000), &signed, body)
    }

    #[test]
    fn the_standards_own_example_is_accepted() {
        assert_eq!(check(1_614_265_330, SIGNATURE, BODY), Ok(()));
        let several = format!("v1,AAAA v1a,xxx {SIGNATURE}");
        assert_eq!(check(1_614_265_330, &several, BODY), Ok(()));
    }

    #[test]
    fn a_changed_body_a_stale_post_and_a_foreign_signature_are_refused() {
        assert_eq!(check(1_614_265_330, SIGNATURE, b"{}"), Err(Unsigned::Signature));
        assert_eq!(check(1_614_265_631, SIGNATURE, BODY), Err(Unsigned::Stale));
        assert_eq!(check(1_614_265_330, "v1,AAAA", BODY), Err(Unsigned::Signature));
        assert_eq!(check(1_614_265_330, "", BODY), Err(Unsigned::Signature));
    }
}

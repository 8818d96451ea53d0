//! Signs what is posted: Standard Webhooks 1.0, symmetric (`v1`), HMAC-SHA256.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Before the key in a secret's text.
const PREFIX: &str = "whsec_";
/// A key has 24 to 64 bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a key that we make.
pub const NEW_KEY_BYTES: usize = 32;

/// A secret cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is whsec_ and 24 to 64 bytes in Base64")]
pub struct BadSecret;

/// The key shared with one endpoint. It can sign, not be printed.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Reads `whsec_…`.
    pub fn parse(secret: &str) -> Result<Self, BadSecret> {
        let key = secret.trim().strip_prefix(PREFIX).ok_or(BadSecret)?;
        let key = STANDARD.decode(key).map_err(|_| BadSecret)?;
        if KEY_BYTES.contains(&key.len()) { Ok(Self(key)) } else { Err(BadSecret) }
    }

    /// The text of a new secret from `dice`.
    pub fn text_of(dice: &[u8; NEW_KEY_BYTES]) -> String {
        format!("{PREFIX}{}", STANDARD.encode(dice))
    }

    /// The value of `webhook-signature` for one post.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Result<String, BadSecret> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| BadSecret)?;
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specifications_example() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = key
            .sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
            .unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_secret_can_be_read_back_and_a_short_one_cannot() {
        assert!(SigningKey::parse(&SigningKey::text_of(&[7; NEW_KEY_BYTES])).is_ok());
        assert!(SigningKey::parse("whsec_AAAA").is_err());
        assert!(SigningKey::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err());
    }
}

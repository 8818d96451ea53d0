//! Tokens: 256 random bits for the holder, their SHA-256 for the store. CSRF tokens derive from the
//! session's, so that nothing more is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::adapters::secret::Secret;

/// A new token, its beginning telling what it is for (and secret scanners that it is one).
pub fn new_token(prefix: &str) -> Secret {
    let bytes: [u8; 32] = rand::random();
    Secret::new(format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What the store keeps of a token. A plain hash is enough: there is nothing to guess in 256 bits.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A hash as hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The CSRF token of a session: only who can read the session's answers knows it, and a page of
/// another origin cannot.
pub fn csrf(session: &str) -> String {
    csrf_mac(session)
        .map_or_else(String::new, |mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Whether `given` is the CSRF token of the session, compared in constant time.
pub fn is_csrf(session: &str, given: &str) -> bool {
    let (Some(mac), Ok(given)) = (csrf_mac(session), URL_SAFE_NO_PAD.decode(given)) else {
        return false;
    };
    mac.verify_slice(&given).is_ok()
}

fn csrf_mac(session: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(session.as_bytes()).ok()?;
    mac.update(b"campanile csrf 1");
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_only_their_own_csrf_token_fits() {
        let (one, two) = (new_token("session"), new_token("session"));
        assert_ne!(one.reveal(), two.reveal());
        assert!(one.reveal().starts_with("session_") && one.reveal().len() > 50);
        assert!(is_csrf(one.reveal(), &csrf(one.reveal())));
        assert!(!is_csrf(one.reveal(), &csrf(two.reveal())));
        assert!(!is_csrf(one.reveal(), "") && !is_csrf(one.reveal(), "%%%"));
    }

    #[test]
    fn the_stored_hash_is_sha_256() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&hash("abc")), abc);
    }
}

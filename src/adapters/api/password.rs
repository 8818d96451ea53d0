//! Passwords: Argon2id, two at a time at most, and a limit on attempts by name and address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::Semaphore;

use crate::adapters::secret::Secret;

use super::error::{Kind, Problem};

/// Shortest password, characters (NIST SP 800-63B §5.1.1.1 asks for 8).
pub const PASSWORD_MIN: usize = 8;
/// Longest, bytes: what is hashed has a bound.
pub const PASSWORD_MAX: usize = 256;
/// Hashes computed at once: each takes 19 MiB and a core for some 20 ms.
const HASHES_MAX: usize = 2;
/// Attempts in a row for one name from one address, then one in twelve seconds.
const ATTEMPTS_PER_NAME: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// Attempts in a row from one address whatever the name, then one every two seconds.
const ATTEMPTS_PER_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// After so many checks the limiter forgets who has been quiet.
const FORGET_EVERY: u32 = 256;
/// A hash to compare with where there is no user, so that both answers take the same time.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y2FtcGFuaWxlIG5vYm9keQ\
                      $Gz5nMXy1Vf9ZJ0r3m0w5o0m2m0r4m6m8n0p2q4s6u8w";

type ByName = RateLimiter<(String, IpAddr), HashMapStateStore<(String, IpAddr)>, DefaultClock>;
type ByAddress = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>;

/// Hashes and checks passwords.
pub struct Passwords {
    by_name: ByName,
    by_address: ByAddress,
    checks: AtomicU32,
    hashing: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let per_name = Quota::with_period(Duration::from_secs(12))
            .unwrap_or(Quota::per_minute(ATTEMPTS_PER_NAME))
            .allow_burst(ATTEMPTS_PER_NAME);
        let per_address = Quota::with_period(Duration::from_secs(2))
            .unwrap_or(Quota::per_minute(ATTEMPTS_PER_ADDRESS))
            .allow_burst(ATTEMPTS_PER_ADDRESS);
        Self {
            by_name: RateLimiter::hashmap(per_name),
            by_address: RateLimiter::hashmap(per_address),
            checks: AtomicU32::new(0),
            hashing: Arc::new(Semaphore::new(HASHES_MAX)),
        }
    }
}

impl Passwords {
    /// Takes one attempt from the budget of this name and address.
    pub fn may_try(&self, name: &str, from: IpAddr) -> Result<(), Problem> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.by_name.retain_recent();
            self.by_address.retain_recent();
        }
        // A name is cut so that nobody can make the table large by long names.
        let name: String = name.chars().take(64).flat_map(char::to_lowercase).collect();
        let wait = match (self.by_address.check_key(&from), self.by_name.check_key(&(name, from))) {
            (Ok(()), Ok(())) => return Ok(()),
            (Err(until), Ok(())) => until.wait_time_from(self.by_address.clock().now()),
            (_, Err(until)) => until.wait_time_from(self.by_name.clock().now()),
        };
        let seconds = wait.as_secs() + 1;
        Err(Problem {
            retry_after_s: Some(seconds),
            ..Problem::new(Kind::TooManyAttempts, format!("try again in {seconds} s"))
        })
    }

    /// Whether `password` is the one that was hashed; `None` (no such user, no password yet) is
    /// answered as slowly as a wrong one.
    pub async fn is_right(&self, password: Secret, hash: Option<String>) -> Result<bool, Problem> {
        self.on_thread(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
            let Ok(hash) = PasswordHash::new(&hash) else { return false };
            let fits =
                Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok();
            fits && known
        })
        .await
    }

    /// The hash of a new password, or why it cannot be one.
    pub async fn hash(&self, password: Secret) -> Result<String, Problem> {
        if password.reveal().chars().count() < PASSWORD_MIN {
            let text = format!("a password has at least {PASSWORD_MIN} characters");
            return Err(Problem::invalid(text));
        }
        if password.reveal().len() > PASSWORD_MAX {
            return Err(Problem::invalid(format!("a password has at most {PASSWORD_MAX} bytes")));
        }
        self.on_thread(move || {
            Argon2::default()
                .hash_password(password.reveal().as_bytes())
                .map(|hash| hash.to_string())
        })
        .await?
        .map_err(|_| Problem::new(Kind::Internal, "the password could not be hashed"))
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.hashing.acquire().await.map_err(|_| Kind::ShuttingDown)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Problem::from(Kind::Internal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_password_that_was_hashed_is_right() {
        let passwords = Passwords::default();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains("horse"));
        assert!(passwords.is_right(secret("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.is_right(secret("correct house"), Some(hash)).await.unwrap());
        assert!(!passwords.is_right(secret("correct horse"), None).await.unwrap());
    }

    #[test]
    fn the_hash_of_nobody_can_be_read_and_costs_what_ours_cost() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        let ours = argon2::Params::default();
        assert_eq!(hash.algorithm.as_str(), "argon2id");
        assert_eq!(hash.params.get_decimal("m"), Some(ours.m_cost()));
        assert_eq!(hash.params.get_decimal("t"), Some(ours.t_cost()));
    }

    #[tokio::test]
    async fn a_short_or_endless_password_is_refused() {
        let passwords = Passwords::default();
        assert_eq!(passwords.hash(secret("1234567")).await.unwrap_err().kind, Kind::Invalid);
        let endless = "x".repeat(PASSWORD_MAX + 1);
        assert_eq!(passwords.hash(secret(&endless)).await.unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn the_sixth_attempt_for_one_name_is_refused_and_another_name_is_not() {
        let passwords = Passwords::default();
        for _ in 0..ATTEMPTS_PER_NAME.get() {
            passwords.may_try("Olena", HERE).unwrap();
        }
        let problem = passwords.may_try("olena", HERE).unwrap_err();
        assert_eq!(problem.kind, Kind::TooManyAttempts);
        assert!(problem.retry_after_s.is_some_and(|seconds| (1..=13).contains(&seconds)));
        passwords.may_try("Ivan", HERE).unwrap();
        passwords.may_try("olena", IpAddr::from([192, 0, 2, 1])).unwrap();
    }

    #[test]
    fn one_address_cannot_try_many_names_for_long() {
        let passwords = Passwords::default();
        let refused = (0..40).find(|n| passwords.may_try(&format!("user{n}"), HERE).is_err());
        assert_eq!(refused, Some(ATTEMPTS_PER_ADDRESS.get()));
    }
}

//! One post of one CRM event, and what its answer means.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use uuid::Uuid;

use crate::domain::time::Utc;

use super::backoff::retry_after;
use super::http::root_cause;
use super::signature::SigningKey;
use super::url_guard::check_url;

/// CloudEvents 1.0, JSON event format §3: structured mode.
const CLOUDEVENTS: &str = "application/cloudevents+json";

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Taken.
    Delivered,
    /// The endpoint does not work or has too much to do: nothing goes there for a while.
    Later {
        /// In words, without personal data.
        why: String,
        /// What Retry-After asks for.
        wait: Option<Duration>,
    },
    /// This event is not wanted; others may be.
    Refused {
        /// In words, without personal data.
        why: String,
    },
    /// The endpoint is given up (410).
    Gone,
}

/// What is posted, and where.
pub struct Post<'a> {
    /// The endpoint's address.
    pub url: &'a str,
    /// Its secret, `whsec_…`.
    pub secret: &'a str,
    /// The event's id, the same at every delivery.
    pub event: Uuid,
    /// The CloudEvents JSON.
    pub body: &'a str,
}

/// Posts an event. Never fails otherwise than by an [`Answer`].
pub async fn post(client: &Client, post: &Post<'_>, allow_private: bool, now: Utc) -> Answer {
    let later = |why: String| Answer::Later { why, wait: None };
    let url = match check_url(post.url, allow_private) {
        Ok(url) => url,
        Err(fault) => return later(fault.to_string()),
    };
    let (id, timestamp) = (post.event.to_string(), now.as_ms().div_euclid(1_000));
    let signature = SigningKey::parse(post.secret)
        .and_then(|key| key.sign(&id, timestamp, post.body.as_bytes()));
    let signature = match signature {
        Ok(signature) => signature,
        Err(fault) => return later(fault.to_string()),
    };
    let sent = client
        .post(url)
        .header(CONTENT_TYPE, CLOUDEVENTS)
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(post.body.to_owned())
        .send()
        .await;
    match sent {
        Ok(answer) => {
            let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            judge(answer.status(), wait.and_then(|value| retry_after(value, now)))
        }
        Err(error) if error.is_timeout() => later("no answer in time".into()),
        Err(error) => later(root_cause(&error)),
    }
}

/// Standard Webhooks 1.0: 2xx is success, 410 is the end, everything else is tried again.
fn judge(status: StatusCode, wait: Option<Duration>) -> Answer {
    let why = match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    };
    match status {
        _ if status.is_success() => Answer::Delivered,
        StatusCode::GONE => Answer::Gone,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Answer::Later { why, wait }
        }
        _ if status.is_client_error() => Answer::Refused { why },
        _ if status.is_redirection() => {
            Answer::Later { why: format!("{why} (redirects are not followed)"), wait }
        }
        _ => Answer::Later { why, wait },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_the_event_or_about_the_endpoint() {
        let of = |status: u16| judge(StatusCode::from_u16(status).unwrap(), None);
        assert_eq!(of(204), Answer::Delivered);
        assert_eq!(of(410), Answer::Gone);
        for status in [301, 408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(of(status), Answer::Later { .. }), "{status}");
        }
        for status in [400, 401, 404, 413, 422] {
            assert!(matches!(of(status), Answer::Refused { .. }), "{status}");
        }
    }
}

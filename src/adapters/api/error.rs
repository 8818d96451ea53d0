//! Refusals of the API: `application/problem+json` (RFC 9457) with a stable `type`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::adapters::gate::GateError;
use crate::adapters::store::StoreError;
use crate::domain::agent::AgentRefusal;

/// Declares the kinds of problems: `type` (its last part), status, title, catalogue key.
macro_rules! problems {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:ident, $title:literal, $key:literal;)+) => {
        /// What went wrong, as a closed set.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $kind,)+ }

        /// Every kind, for the documentation and its test.
        pub const KINDS: &[Kind] = &[$(Kind::$kind),+];

        impl Kind {
            /// `type` (its last part), status, title, catalogue key.
            pub const fn row(self) -> (&'static str, StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$kind => ($name, StatusCode::$status, $title, $key),)+
                }
            }
        }
    };
}

problems! {
    /// The request cannot be read.
    BadRequest = "bad_request", BAD_REQUEST, "The request cannot be read", "error.bad_request";
    /// It can be read and says something impossible.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "A value is not possible", "error.invalid";
    /// Nobody is signed in.
    NotSignedIn = "not_signed_in", UNAUTHORIZED, "Not signed in", "error.not_signed_in";
    /// Name and password do not fit, or the link was used or is too old.
    WrongCredentials = "wrong_credentials", UNAUTHORIZED,
        "Name, password or link is not right",
        "error.wrong_credentials";
    /// Too many attempts to sign in.
    TooManyAttempts = "too_many_attempts", TOO_MANY_REQUESTS,
        "Too many attempts to sign in",
        "error.too_many_attempts";
    /// Signed in, and not allowed to.
    Forbidden = "forbidden", FORBIDDEN, "Not allowed", "error.forbidden";
    /// A change by a page without its CSRF token.
    Csrf = "csrf", FORBIDDEN,
        "The page's token is missing or old; load the page again",
        "error.csrf";
    /// A page's request under a name that is not this server's.
    ForeignHost = "foreign_host", MISDIRECTED_REQUEST,
        "This server is not known under that name",
        "error.foreign_host";
    /// No such thing.
    NotFound = "not_found", NOT_FOUND, "Not found", "error.not_found";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED,
        "Not with this method",
        "error.method_not_allowed";
    /// It does not fit the present state.
    Conflict = "conflict", CONFLICT, "Not possible at the moment", "error.conflict";
    /// The engine says: not in the agent's state.
    WrongState = "wrong_state", CONFLICT,
        "Not possible in the agent's present state",
        "agent.refused.wrong_state";
    /// The engine says: not this agent's call.
    NotYours = "not_yours", CONFLICT, "Not the agent's call", "agent.refused.not_yours";
    /// The engine does not know this agent.
    UnknownAgent = "unknown_agent", CONFLICT,
        "The dialer does not know this agent",
        "agent.refused.unknown";
    /// The body is too large.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "The body is too large", "error.too_large";
    /// The body is of another type.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The body is of another type than this takes",
        "error.unsupported_media_type";
    /// An idempotency key was used with another request.
    KeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "This idempotency key stands for another request",
        "error.idempotency_key_reused";
    /// The same request with the same key is still being carried out.
    KeyInUse = "idempotency_key_in_use", CONFLICT,
        "The same request is being carried out",
        "error.idempotency_key_in_use";
    /// Too many requests wait for the dialer, or too many streams are open.
    Busy = "busy", SERVICE_UNAVAILABLE, "Too much at once; try again", "error.busy";
    /// The program ends.
    ShuttingDown = "shutting_down", SERVICE_UNAVAILABLE,
        "The dialer is shutting down",
        "agent.refused.draining";
    /// Our fault.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something failed here", "error.internal";
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Of which kind.
    pub kind: Kind,
    /// What in this case, for a person.
    pub detail: String,
    /// When to try again, seconds.
    pub retry_after_s: Option<u64>,
}

/// The JSON of a refusal.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Stable name of the kind of problem, for example `urn:campanile:problem:wrong_state`.
    #[schema(example = "urn:campanile:problem:wrong_state")]
    pub r#type: String,
    /// The same for every problem of this type.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What in this case.
    pub detail: String,
    /// Message key of the user interface's catalogue.
    pub key: &'static str,
}

impl Problem {
    /// A refusal of this kind, with what there is to say in this case.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after_s: None }
    }

    /// Something named does not exist.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what}"))
    }

    /// A value that makes no sense.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    /// The JSON of this refusal.
    pub fn body(&self) -> ProblemBody {
        let (name, status, title, key) = self.kind.row();
        ProblemBody {
            r#type: format!("urn:campanile:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            key,
        }
    }
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self::new(kind, "")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (_, status, _, _) = self.kind.row();
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What the store cannot do is our fault; the log gets the reason, the caller does not.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound(what) => return Self::not_found(format!("such {what}")),
            StoreError::ListNotReady(_) => return Self::invalid(error.to_string()),
            StoreError::NameTaken => return Self::new(Kind::Conflict, error.to_string()),
            StoreError::Address(_)
            | StoreError::Sql(_)
            | StoreError::Migrate(_)
            | StoreError::Corrupt { .. } => {}
        }
        tracing::error!(error = &error as &dyn std::error::Error, "the store failed a request");
        Self::new(Kind::Internal, "the store failed; see the log")
    }
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        let kind = match error {
            GateError::Refused(AgentRefusal::Unknown) => Kind::UnknownAgent,
            GateError::Refused(AgentRefusal::WrongState) => Kind::WrongState,
            GateError::Refused(AgentRefusal::NotYours) => Kind::NotYours,
            GateError::Refused(AgentRefusal::Draining) | GateError::Closed => Kind::ShuttingDown,
            GateError::Busy => Kind::Busy,
        };
        let retry_after_s = (kind == Kind::Busy).then_some(1);
        Self { kind, detail: error.to_string(), retry_after_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_type_of_its_own_and_a_status_of_refusal() {
        let mut names = std::collections::BTreeSet::new();
        for kind in KINDS {
            let (name, status, title, key) = kind.row();
            assert!(names.insert(name), "{name} twice");
            assert!(status.is_client_error() || status.is_server_error());
            assert!(!title.is_empty() && key.contains('.'));
        }
    }

    #[test]
    fn a_refusal_of_the_engine_names_its_catalogue_key() {
        let body = Problem::from(GateError::Refused(AgentRefusal::WrongState)).body();
        assert_eq!((body.status, body.key), (409, "agent.refused.wrong_state"));
        assert_eq!(body.r#type, "urn:campanile:problem:wrong_state");
    }
}

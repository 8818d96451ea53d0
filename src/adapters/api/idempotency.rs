//! Idempotency keys: the same request with the same key has its effect once, and gets the same
//! answer for 24 hours.

use std::sync::PoisonError;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::adapters::store::access::KeptAnswer;

use super::auth::User;
use super::error::{Kind, Problem};
use super::state::ApiState;
use super::token;

/// The header.
pub const KEY_HEADER: &str = "idempotency-key";
/// Marks an answer that was given before.
pub const REPLAYED_HEADER: &str = "idempotency-replayed";
/// Longest key, as long as a UUID in any spelling and more.
const KEY_MAX: usize = 128;
/// Answers of these routes are small.
const ANSWER_MAX: usize = 256 * 1_024;

/// Where keys are accepted.
pub const ROUTES: &[&str] = &[
    "/api/v1/campaigns",
    "/api/v1/campaigns/{id}/start",
    "/api/v1/lists/import",
    "/api/v1/lists/pull",
    "/api/v1/agent/disposition",
];
/// The body is a stream that is too long to be compared; its query stands for it.
const STREAMED: &str = "/api/v1/lists/import";

/// Takes the key out of the set when the request is over, however it ends.
struct InUse<'a> {
    state: &'a ApiState,
    name: String,
}

impl<'a> InUse<'a> {
    fn claim(state: &'a ApiState, name: String) -> Result<Self, Problem> {
        let mut names = state.keys_in_use().lock().unwrap_or_else(PoisonError::into_inner);
        if !names.insert(name.clone()) {
            return Err(Kind::KeyInUse.into());
        }
        Ok(Self { state, name })
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let names = self.state.keys_in_use().lock();
        names.unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// The middleware of all routes: acts where a key is given and the route takes one.
pub async fn once(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let key = request.headers().get(KEY_HEADER).cloned();
    match (route, key) {
        (Some(route), Some(key))
            if request.method() == Method::POST && ROUTES.contains(&route.as_str()) =>
        {
            let answer = keyed(&state, &route, &key, request, next).await;
            answer.unwrap_or_else(IntoResponse::into_response)
        }
        _ => next.run(request).await,
    }
}

async fn keyed(
    state: &ApiState,
    route: &str,
    key: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    use axum::extract::FromRequestParts as _;
    let key = key.to_str().ok().map(str::trim).filter(|key| !key.is_empty());
    let key = key
        .filter(|key| key.len() <= KEY_MAX)
        .ok_or_else(|| Problem::new(Kind::BadRequest, "the idempotency key is not usable"))?
        .to_owned();
    let (mut parts, body) = request.into_parts();
    // Who is not let in gets their refusal before any key is looked at.
    let user = User::from_request_parts(&mut parts, state).await?;
    let (print, body) = fingerprint(route, &parts, body).await?;
    let scope = user.scope();
    let _claim = InUse::claim(state, format!("{scope} {key}"))?;
    if let Some(kept) = state.db().kept_answer(&scope, &key, state.now()).await? {
        let (kept_print, answer) = kept.body.split_once('\n').unwrap_or_default();
        if kept_print != print {
            return Err(Kind::KeyReused.into());
        }
        return Ok(replayed(kept.status, answer.to_owned()));
    }
    let response = next.run(Request::from_parts(parts, body)).await;
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, ANSWER_MAX)
        .await
        .map_err(|_| Problem::new(Kind::Internal, "the answer is too long to be kept"))?;
    // A refusal for want of time or place may be different at the next try; the rest is the answer.
    let is_final = !head.status.is_server_error() && head.status != StatusCode::TOO_MANY_REQUESTS;
    if is_final && let Ok(text) = std::str::from_utf8(&bytes) {
        let answer = KeptAnswer { status: head.status.as_u16(), body: format!("{print}\n{text}") };
        state.db().keep_answer(&scope, &key, &answer, state.now()).await?;
    }
    Ok(Response::from_parts(head, Body::from(bytes)))
}

/// What makes two requests the same: route, path and query, and the body where it is short.
async fn fingerprint(
    route: &str,
    parts: &axum::http::request::Parts,
    body: Body,
) -> Result<(String, Body), Problem> {
    let mut hash = Sha256::new();
    hash.update(parts.uri.to_string());
    if route == STREAMED {
        return Ok((token::hex(&hash.finalize()), body));
    }
    let bytes = to_bytes(body, super::BODY_MAX).await.map_err(|_| Problem::from(Kind::TooLarge))?;
    hash.update(b"\n");
    hash.update(&bytes);
    Ok((token::hex(&hash.finalize()), Body::from(bytes)))
}

fn replayed(status: u16, answer: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (axum::http::HeaderName::from_static(REPLAYED_HEADER), HeaderValue::from_static("true")),
    ];
    (status, headers, answer).into_response()
}

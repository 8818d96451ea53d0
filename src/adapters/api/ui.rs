//! Serves the two pages out of the binary: hashed assets for ever, everything else is `index.html`.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/ui"]
struct Pages;

/// Scripts, styles and connections from this server only; no frame around the pages.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Vite puts a hash of the content into the name of everything in this folder.
const HASHED: &str = "assets/";

/// The pages, for whatever path no other route takes. Merge it into the API's router.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().fallback(get(page))
}

async fn page(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    // An unknown call of the API or a missing asset answered with a page would hide the fault.
    if path == "api" || path.starts_with("api/") {
        return no_such_call();
    }
    if let Some(file) = Pages::get(path) {
        return answer(path, file);
    }
    if path.starts_with(HASHED) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match Pages::get("index.html") {
        Some(file) => answer("index.html", file),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(path: &str, file: EmbeddedFile) -> Response {
    let cache =
        if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let mut headers = HeaderMap::new();
    if let Ok(kind) = HeaderValue::from_str(kind.as_ref()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The path of a log-in link is a secret: no other site may learn it.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    (headers, Body::from(file.data)).into_response()
}

fn no_such_call() -> Response {
    (
        StatusCode::NOT_FOUND,
        [(header::CONTENT_TYPE, "application/problem+json")],
        r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"the API has no such path"}"#,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn at(path: &str) -> (StatusCode, HeaderMap) {
        let answer = page(path.parse().unwrap()).await;
        (answer.status(), answer.headers().clone())
    }

    #[tokio::test]
    async fn every_path_of_a_person_is_the_page_and_is_not_cached() {
        for path in ["/", "/agent", "/manager/7", "/link/abc", "/index.html"] {
            let (status, headers) = at(path).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
            assert_eq!(headers[header::CONTENT_SECURITY_POLICY], CONTENT_SECURITY_POLICY);
            assert_eq!(headers[header::CONTENT_TYPE], "text/html");
        }
    }

    #[tokio::test]
    async fn a_missing_asset_and_an_unknown_call_are_not_found() {
        for path in ["/assets/gone-1234.js", "/api/v1/nothing", "/api"] {
            assert_eq!(at(path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}

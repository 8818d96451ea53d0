//! The router: all routes, and what lies around every one of them.

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::any;

use crate::adapters::telemetry::metrics;

use super::error::{Kind, Problem};
use super::routes::Routes;
use super::state::ApiState;
use super::{
    agent_desk, agents, attempts, audit, calls, campaigns, crm_endpoints, dnc, events, health,
    idempotency, jobs, lists, openapi, pulls, session, tokens, trunks, ui,
};

/// Longest JSON body; only the import of a list takes more.
pub const BODY_MAX: usize = 256 * 1_024;

/// Every route of the API, and those beside it.
pub fn routes() -> Routes {
    session::routes()
        .and(agent_desk::routes())
        .and(events::routes())
        .and(campaigns::routes())
        .and(attempts::routes())
        .and(calls::routes())
        .and(lists::routes())
        .and(pulls::routes())
        .and(jobs::routes())
        .and(agents::routes())
        .and(trunks::routes())
        .and(dnc::routes())
        .and(crm_endpoints::routes())
        .and(tokens::routes())
        .and(audit::routes())
        .and(openapi::routes())
        .and(health::routes())
}

/// All of HTTP: the API, the pages, metrics and health. Serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`, so that attempts to sign in are counted by
/// address.
pub fn router(state: ApiState) -> Router {
    let api = routes()
        .into_router()
        .layer(middleware::from_fn_with_state(state.clone(), idempotency::once))
        .layer(middleware::from_fn(around));
    api.route("/api/{*path}", any(async || Problem::not_found("such path in the API")))
        .merge(ui::routes())
        .method_not_allowed_fallback(async || Problem::from(Kind::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(state)
}

/// Counts each request by its route, and keeps browsers from guessing at content types.
async fn around(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let began = tokio::time::Instant::now();
    let mut response = next.run(request).await;
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    if let Some(route) = route {
        let status = response.status().as_u16();
        metrics::http_request(method.as_str(), &route, status, began.elapsed());
    }
    response
}

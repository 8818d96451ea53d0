//! The description of the API as OpenAPI 3.1, made from the handlers themselves.

use axum::extract::State;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::auth::COOKIE;
use super::extract::Json;
use super::routes::Routes;
use super::state::ApiState;
use super::{
    agent_desk, agents, attempts, audit, calls, campaigns, crm_endpoints, dnc, events, health,
    jobs, lists, pulls, session, tokens, trunks,
};

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new().get("/api/v1/openapi.json", openapi)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Campanile",
        description = "An outbound dialer: lists in, calls out, people on agents, nothing lost. \
            Times ending in _ms are UTC milliseconds. Refusals are application/problem+json with a \
            stable type.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    paths(
        session::session, session::sign_in, session::sign_out, session::set_password,
        agent_desk::desk, agent_desk::login, agent_desk::logout, agent_desk::pause,
        agent_desk::ready, agent_desk::accept, agent_desk::skip, agent_desk::hang_up,
        agent_desk::dispose,
        events::events,
        campaigns::campaigns, campaigns::create_campaign, campaigns::campaign,
        campaigns::change_campaign, campaigns::start, campaigns::pause, campaigns::stop,
        campaigns::set_lists, campaigns::board, campaigns::history,
        attempts::attempts, attempts::ledger,
        calls::hang_up,
        dnc::dnc, dnc::add_dnc, dnc::remove_dnc,
        lists::lists, lists::import, lists::rejects,
        pulls::pull_list,
        jobs::job,
        agents::agents, agents::create_agent, agents::change_agent, agents::agent_token,
        agents::agent_link,
        trunks::trunks, trunks::create_trunk, trunks::change_trunk, trunks::check_trunk,
        crm_endpoints::endpoints, crm_endpoints::create_endpoint, crm_endpoints::enable,
        crm_endpoints::disable, crm_endpoints::dead_letters, crm_endpoints::redeliver,
        tokens::tokens, tokens::create_token, tokens::revoke_token, tokens::remove_user, tokens::users, tokens::create_user,
        audit::audit,
        openapi,
        health::healthz, health::readyz, health::metrics,
    ),
    security(("session" = []), ("bearer" = [])),
    modifiers(&Schemes)
)]
struct Document;

/// How to sign in, as the document says it.
struct Schemes;

impl utoipa::Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let cookie = ApiKeyValue::with_description(
            COOKIE,
            "A page's session. Changes also carry the header X-CSRF-Token.",
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A machine's token."))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "running", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub async fn openapi(State(_): State<ApiState>) -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

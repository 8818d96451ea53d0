//! Trunks: where calls go out through, and whether the other side is there.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::adapters::gate::{Reload, TrunkCheck};
use crate::adapters::secret::SecretRef;
use crate::adapters::store::trunks::TrunkRow;
use crate::domain::ids::TrunkId;
use crate::domain::phone::E164;
use crate::domain::trunk::TrunkSettings;

use super::auth::Manager;
use super::campaign_settings::within;
use super::campaigns::Versioned;
use super::error::{Problem, ProblemBody};
use super::extract::{Json, Path};
use super::routes::Routes;
use super::session::checked_name;
use super::state::ApiState;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/trunks", trunks)
        .post("/api/v1/trunks", create_trunk)
        .patch("/api/v1/trunks/{id}", change_trunk)
        .post("/api/v1/trunks/{id}/check", check_trunk)
}

/// A trunk's settings. In a change every key may be left out; a new one needs `name` and `address`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkPatch {
    /// The name that people see.
    pub name: Option<String>,
    /// Name of a file in `sip-profiles/`, without `.toml`. Default `generic`.
    pub profile: Option<String>,
    /// Where requests go.
    #[schema(value_type = Option<String>, example = "192.0.2.10:5060")]
    pub address: Option<SocketAddr>,
    /// Host part of Request-URIs; empty is the address itself.
    pub domain: Option<String>,
    /// Numbers that may be shown to callees.
    #[schema(value_type = Option<Vec<String>>)]
    pub caller_ids: Option<Vec<E164>>,
    /// New calls per second at most. Default 5.
    pub calls_per_second: Option<u32>,
    /// Calls at once at most. Default 30.
    pub lines: Option<u32>,
    /// Digits that numbers must begin with; none means that nothing is dialled.
    #[schema(example = json!(["+1", "+44"]))]
    pub allowed_prefixes: Option<Vec<String>>,
    /// From where requests that open a dialog are taken, beside the address itself.
    #[schema(value_type = Option<Vec<String>>)]
    pub networks: Option<Vec<IpNet>>,
    /// User name for digest authentication; empty takes it away.
    pub username: Option<String>,
    /// Where the password stands: `env:NAME` or `file:PATH`, never the password itself; empty takes
    /// it away.
    pub password: Option<String>,
}

/// A trunk as managers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TrunkRecord {
    /// Its id.
    pub id: i64,
    /// Version of its settings.
    pub version: u32,
    /// What a manager set.
    #[serde(flatten)]
    #[schema(value_type = TrunkPatch)]
    pub settings: TrunkSettings,
}

impl From<TrunkRow> for TrunkRecord {
    fn from(row: TrunkRow) -> Self {
        Self { id: row.id.get(), version: row.version, settings: row.settings }
    }
}

impl TrunkPatch {
    fn create(self) -> Result<TrunkSettings, Problem> {
        let address =
            self.address.ok_or_else(|| Problem::invalid("address: a new trunk needs it"))?;
        self.apply(TrunkSettings {
            name: String::new(),
            profile: String::from("generic"),
            address,
            domain: String::new(),
            caller_ids: Vec::new(),
            calls_per_second: 5,
            lines: 30,
            allowed_prefixes: Vec::new(),
            networks: Vec::new(),
            username: None,
            password: None,
        })
    }

    fn apply(self, mut settings: TrunkSettings) -> Result<TrunkSettings, Problem> {
        macro_rules! take {
            ($($key:ident)+) => {$(
                if let Some(value) = self.$key {
                    settings.$key = value;
                }
            )+};
        }
        take!(name profile address domain caller_ids calls_per_second lines allowed_prefixes
            networks);
        if let Some(username) = self.username {
            settings.username = Some(username).filter(|name| !name.is_empty());
        }
        if let Some(password) = self.password {
            settings.password = Some(password).filter(|text| !text.is_empty());
        }
        check(&settings)?;
        Ok(settings)
    }
}

fn check(settings: &TrunkSettings) -> Result<(), Problem> {
    checked_name(&settings.name)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if settings.profile.is_empty() || !settings.profile.chars().all(plain) {
        return Err(Problem::invalid("profile: the name of a file in sip-profiles, without .toml"));
    }
    let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
    if settings.domain.len() > 255 || !settings.domain.chars().all(host) {
        return Err(Problem::invalid("domain: a host name or address"));
    }
    within("calls_per_second", settings.calls_per_second, 1, 10_000)?;
    within("lines", settings.lines, 1, 100_000)?;
    let digits = |text: &String| {
        let rest = text.strip_prefix('+').unwrap_or(text);
        text.len() <= 16 && rest.chars().all(|c| c.is_ascii_digit())
    };
    if !settings.allowed_prefixes.iter().all(digits) {
        return Err(Problem::invalid("allowed_prefixes: digits, such as +44"));
    }
    if settings.username.as_ref().is_some_and(|name| name.chars().any(char::is_control)) {
        return Err(Problem::invalid("username: no control characters"));
    }
    if settings.password.as_ref().is_some_and(|text| SecretRef::parse(text).is_err()) {
        // The text is not repeated: it may be the password.
        return Err(Problem::invalid("password: a reference, env:NAME or file:PATH"));
    }
    Ok(())
}

/// All trunks.
#[utoipa::path(get, path = "/api/v1/trunks", tag = "trunks",
    responses((status = 200, body = [TrunkRecord])))]
pub async fn trunks(
    State(state): State<ApiState>,
    _: Manager,
) -> Result<Json<Vec<TrunkRecord>>, Problem> {
    let rows = state.db().trunks().await?;
    Ok(Json(rows.into_iter().map(TrunkRecord::from).collect()))
}

/// Makes a trunk.
#[utoipa::path(post, path = "/api/v1/trunks", tag = "trunks", request_body = TrunkPatch,
    responses((status = 201, body = Versioned), (status = 422, body = ProblemBody)))]
pub async fn create_trunk(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Json(body): Json<TrunkPatch>,
) -> Result<(StatusCode, Json<Versioned>), Problem> {
    let settings = body.create()?;
    check_profile(&state, &settings)?;
    let id = state.db().create_trunk(&settings, &user.by(), state.now()).await?;
    state.reload(Reload::Trunk(id)).await?;
    Ok((StatusCode::CREATED, Json(Versioned { id: id.get(), version: 1 })))
}

fn check_profile(state: &ApiState, settings: &TrunkSettings) -> Result<(), Problem> {
    (state.options().check_profile)(&settings.profile)
        .map_err(|why| Problem::invalid(format!("profile: {why}")))
}

async fn expect(state: &ApiState, id: i64) -> Result<TrunkRow, Problem> {
    let row = state.db().trunk(TrunkId::new(id)).await?;
    row.ok_or_else(|| Problem::not_found("such trunk"))
}

/// Changes what the body names.
#[utoipa::path(patch, path = "/api/v1/trunks/{id}", tag = "trunks", request_body = TrunkPatch,
    params(("id" = i64, Path, description = "The trunk")),
    responses((status = 200, body = Versioned), (status = 404, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
pub async fn change_trunk(
    State(state): State<ApiState>,
    Manager(user): Manager,
    Path(id): Path<i64>,
    Json(body): Json<TrunkPatch>,
) -> Result<Json<Versioned>, Problem> {
    let row = expect(&state, id).await?;
    let settings = body.apply(row.settings.clone())?;
    check_profile(&state, &settings)?;
    let mut version = row.version;
    if settings != row.settings {
        version = state.db().set_trunk_settings(row.id, &settings, &user.by(), state.now()).await?;
    }
    state.reload(Reload::Trunk(row.id)).await?;
    Ok(Json(Versioned { id, version }))
}

/// Asks the trunk whether it is there, by an OPTIONS request.
#[utoipa::path(post, path = "/api/v1/trunks/{id}/check", tag = "trunks",
    params(("id" = i64, Path, description = "The trunk")),
    responses((status = 200, body = TrunkCheck), (status = 404, body = ProblemBody),
        (status = 503, body = ProblemBody)))]
pub async fn check_trunk(
    State(state): State<ApiState>,
    _: Manager,
    Path(id): Path<i64>,
) -> Result<Json<TrunkCheck>, Problem> {
    let id = expect(&state, id).await?.id;
    Ok(Json(state.gate().check_trunk(id).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patch(value: serde_json::Value) -> TrunkPatch {
        serde_json::from_value(value).unwrap()
    }

    fn made() -> TrunkSettings {
        patch(json!({ "name": "Lab", "address": "127.0.0.1:5060" })).create().unwrap()
    }

    #[test]
    fn a_new_trunk_dials_nothing_until_prefixes_are_allowed() {
        assert!(made().allowed_prefixes.is_empty());
        let problem = patch(json!({ "name": "Lab" })).create().unwrap_err();
        assert!(problem.detail.starts_with("address"));
    }

    #[test]
    fn a_password_itself_is_refused_and_not_repeated() {
        let problem = patch(json!({ "password": "hunter2" })).apply(made()).unwrap_err();
        assert!(problem.detail.contains("env:NAME") && !problem.detail.contains("hunter2"));
        let settings = patch(json!({ "password": "env:TRUNK" })).apply(made()).unwrap();
        assert_eq!(settings.password.as_deref(), Some("env:TRUNK"));
        assert_eq!(patch(json!({ "password": "" })).apply(settings).unwrap().password, None);
    }

    #[test]
    fn impossible_settings_are_refused() {
        for body in [
            json!({ "profile": "../secrets" }),
            json!({ "domain": "a b" }),
            json!({ "lines": 0 }),
            json!({ "allowed_prefixes": ["+44x"] }),
        ] {
            assert!(patch(body.clone()).apply(made()).is_err(), "{body}");
        }
    }

    #[test]
    fn every_setting_of_the_domain_can_be_patched() {
        let settings = serde_json::to_value(made()).unwrap();
        assert_eq!(patch(settings).apply(made()).unwrap(), made());
    }
}

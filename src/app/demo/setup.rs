//! Setting the demo's campaign up through the API: trunk, CRM, list, agents, campaign.

use std::net::SocketAddr;

use anyhow::Context;
use chrono::NaiveDate;
use serde_json::{Value, json};

use super::DemoArgs;
use crate::app::cli::{ConfigArg, ModeWord, Remote};
use crate::app::client::Client;
use crate::app::config::Config;
use crate::app::daemon::Daemon;
use crate::domain::abandon::AbandonLimit;
use crate::domain::call_result::CallResult as R;
use crate::domain::calling_hours::CallingHours;
use crate::domain::retry::RetryRules;
use crate::domain::time::Duration;
use crate::lab::world::World;

/// Callee phones in the demo ring at most so long before `--speed` divides it.
const RING_TIMEOUT_MS: f64 = 25_000.0;
/// The longest wrap-up before `--speed` divides it.
const WRAP_UP_MS: f64 = 60_000.0;
/// Waits between attempts before `--speed` divides them.
const RETRY_S: f64 = 60.0;
/// Lines for each ready agent in power mode, hundredths.
const POWER_RATIO_PERCENT: u32 = 200;

/// What was made.
pub(super) struct SetUp {
    pub(super) campaign: i64,
    pub(super) manager_link: String,
    pub(super) own_desk_link: String,
}

/// Makes everything and starts the campaign; the agents sit down last.
pub(super) async fn set_up(
    args: &DemoArgs,
    config: &Config,
    daemon: &Daemon,
    world: &World,
) -> anyhow::Result<SetUp> {
    let token = std::fs::read_to_string(config.cli_token_file())
        .context("the daemon left no token for its command line")?;
    let api = Client::of(&Remote {
        config: ConfigArg::default(),
        url: Some(daemon.base_url.clone()),
        token: Some(token.trim().to_owned()),
        json: false,
    })?;
    // What an earlier run left would be dialled, told and counted together with this one.
    let campaigns: Vec<Value> = api.get("/campaigns").await?;
    anyhow::ensure!(campaigns.is_empty(), "the database is not empty: give the demo a new one");
    let info = world.info();
    let carrier: SocketAddr = info.carrier.parse().context("the lab's carrier has no address")?;
    let trunk = api.post("/trunks", &trunk(carrier)?).await?;
    let endpoint =
        api.post("/crm-endpoints", &json!({ "name": "Lab CRM", "url": info.events_url })).await?;
    let secret = text(&endpoint, "secret")?;
    world.crm().set_secret(&secret);
    let list = pull(&api, &info.segment_url, &info.mapping).await?;
    let campaign = api.post("/campaigns", &campaign(args, id(&trunk)?, list)).await?;
    let campaign = id(&campaign)?;

    let mut tokens = Vec::new();
    let mut own_desk_link = String::new();
    let robots = usize::try_from(args.agents).unwrap_or(0);
    for (n, phone) in info.phones.iter().enumerate() {
        let is_robot = n < robots;
        let name = if is_robot { format!("Agent {}", n + 1) } else { "You".to_owned() };
        let agent = json!({
            "name": name,
            "phone": phone,
            "campaigns": [campaign],
            "with_token": is_robot,
        });
        let made = api.post("/agents", &agent).await?;
        if is_robot {
            tokens.push(text(&made, "token")?);
        } else {
            own_desk_link = beside_the_manager(&text(&made, "link")?);
        }
    }
    api.post(&format!("/campaigns/{campaign}/start"), &json!({})).await?;
    world.seat_agents(daemon.base_url.clone(), tokens)?;
    let manager_link = daemon.first_link.clone().unwrap_or_else(|| daemon.base_url.clone());
    Ok(SetUp { campaign, manager_link, own_desk_link })
}

/// A trunk on loopback, and nowhere else: the demo's numbers are fiction.
fn trunk(carrier: SocketAddr) -> anyhow::Result<Value> {
    anyhow::ensure!(carrier.ip().is_loopback(), "the demo dials only on this machine");
    Ok(json!({
        "name": "Lab carrier",
        "profile": "lab",
        "address": carrier,
        "caller_ids": ["+12125550199", "+442079460999"],
        "calls_per_second": 50,
        "lines": 1_000,
        "allowed_prefixes": ["+1", "+4420794"],
    }))
}

/// A browser keeps one sign-in for each host: under another name of this machine the desk does not
/// end the manager's.
fn beside_the_manager(link: &str) -> String {
    link.replacen("//127.0.0.1:", "//localhost:", 1)
}

/// A text that the API's answer must hold.
fn text(answer: &Value, key: &str) -> anyhow::Result<String> {
    let text = answer.get(key).and_then(Value::as_str);
    Ok(text.with_context(|| format!("the daemon's answer has no {key}"))?.to_owned())
}

fn id(answer: &Value) -> anyhow::Result<i64> {
    answer.get("id").and_then(Value::as_i64).context("the daemon's answer has no id")
}

async fn pull(api: &Client, url: &str, mapping: &str) -> anyhow::Result<i64> {
    let job = api
        .post("/lists/pull", &json!({ "name": "Lab segment", "url": url, "map": mapping }))
        .await?;
    let job = text(&job, "job")?;
    for _ in 0..3_000 {
        let state: Value = api.get(&format!("/jobs/{job}")).await?;
        match text(&state, "state")?.as_str() {
            "running" => tokio::time::sleep(Duration::from_millis(20)).await,
            "done" => {
                let list = state.pointer("/report/list").and_then(Value::as_i64);
                return list.context("the pull made no list");
            }
            _ => anyhow::bail!("the list was not pulled: {}", text(&state, "error")?),
        }
    }
    anyhow::bail!("the list was not pulled within a minute")
}

fn campaign(args: &DemoArgs, trunk: i64, list: i64) -> Value {
    let zone = chrono_tz::Tz::America__New_York;
    let first_day = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default();
    let divided = |ms: f64| whole_ms(ms / args.speed);
    json!({
        "name": "Demo",
        "mode": mode(args.mode),
        "trunk": trunk,
        "lists": [list],
        "legal_zone": zone.name(),
        "calling_hours": CallingHours::all_day(),
        "abandon_limit": AbandonLimit::us(zone, first_day),
        "ring_timeout_ms": divided(RING_TIMEOUT_MS).max(1_000),
        "wrap_up_ms": divided(WRAP_UP_MS),
        "attempts_max": args.attempts,
        "number_gap_s": 1,
        "retry": retry(args),
        "lines_max": 1_000,
        "script": "Good day, {name}! This is Campanile about your {product}. \
                   Is now a good moment?",
    })
}

fn whole_ms(ms: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(ms / 1_000.0).as_millis()).unwrap_or(u64::MAX)
}

fn mode(word: ModeWord) -> Value {
    json!(word.mode(POWER_RATIO_PERCENT))
}

/// With one attempt nothing is tried again, not even what does not count as an attempt; with more,
/// the usual rules with waits that fit a demo.
fn retry(args: &DemoArgs) -> Value {
    let mut rules = RetryRules::default();
    if args.attempts == 1 {
        rules.after_s.clear();
        // A skipped preview and a withdrawn call have not been tried at all.
        for result in [R::AgentSkipped, R::PreviewTimedOut, R::NotDialled, R::CancelledByDialer] {
            rules.after_s.insert(result, 1);
        }
    } else {
        let wait = Duration::from_secs_f64(RETRY_S / args.speed).as_secs().max(1);
        for after in rules.after_s.values_mut() {
            *after = u32::try_from(wait).unwrap_or(u32::MAX);
        }
    }
    json!(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_outside_this_machine_is_refused() {
        trunk("127.0.0.1:5060".parse().unwrap()).unwrap();
        for outside in ["192.0.2.1:5060", "10.0.0.1:5060", "[2001:db8::1]:5060", "0.0.0.0:5060"] {
            trunk(outside.parse().unwrap()).unwrap_err();
        }
    }
}

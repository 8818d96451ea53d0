//! Every metric of the program: its name in one place, and one function for each thing to count.
//!
//! Labels come from closed sets only: never a number, a contact, a call or an agent.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::ids::CampaignId;
use crate::engine::output::Fact;

use super::super::gate::Live;
use super::super::views::BoardView;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

macro_rules! metrics_table {
    ($($id:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)+) => {
        $(const $id: &str = $name;)+
        /// Every metric, in the order of docs/operations.md.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
        }),+];
    };
}

metrics_table! {
    BUILD_INFO = "campanile_build_info", Gauge, ["version"], "Always 1; the version is the label.";
    START_TIME = "campanile_start_time_seconds", Gauge, [], "When the process began, Unix seconds.";
    ATTEMPTS = "campanile_attempts_total", Counter, ["campaign", "result"],
        "Attempts that ended, by call result.";
    INTENTS_REFUSED = "campanile_intents_refused_total", Counter, ["campaign", "reason"],
        "Calls that the store did not let be made.";
    INTENTS_EXPIRED = "campanile_intents_expired_total", Counter, ["campaign"],
        "Intents that were durable too late to be dialled.";
    HELD_BACK = "campanile_launches_held_back_total", Counter, ["campaign"],
        "Launches that the abandon bound held back.";
    ANSWER_TO_AGENT = "campanile_answer_to_agent_seconds", Histogram, ["campaign"],
        "From the answer of a person to the agent on the line.";
    CALLS = "campanile_calls", Gauge, ["campaign", "state"],
        "Calls by state: ringing, waiting, talking.";
    CONTACTS = "campanile_contacts", Gauge, ["campaign", "state"],
        "Contacts by state: ready, waits, live, closed.";
    ABANDONED_RATIO = "campanile_abandoned_ratio", Gauge, ["campaign"],
        "Abandon rate of the present window, 0 to 1.";
    ABANDONED_RATIO_LIMIT = "campanile_abandoned_ratio_limit", Gauge, ["campaign"],
        "The legal limit of the abandon rate, 0 to 1.";
    AGENTS = "campanile_agents", Gauge, ["state"], "Agents by state.";
    AGENTS_VANISHED = "campanile_agents_vanished_total", Counter, [],
        "Agents whose phone or media went away while calls relied on them.";
    CLOCK_STEPS = "campanile_clock_steps_total", Counter, [],
        "Steps of the wall clock that paused dialling.";
    BUGS = "campanile_bugs_total", Counter, ["place"],
        "Events that only a bug of ours can cause; should stay 0.";
    SIP_EVENTS = "campanile_sip_events_total", Counter, ["event"],
        "Remarkable SIP messages: broken, stray, refused, crossing.";
    SIP_PACKETS = "campanile_sip_packets_total", Counter, ["direction"],
        "SIP datagrams, in and out.";
    RTP_PACKETS = "campanile_rtp_packets_total", Counter, ["direction"],
        "RTP packets, in and out, counted when a leg is closed.";
    RTP_LOST = "campanile_rtp_lost_packets_total", Counter, [],
        "RTP packets that never came, by sequence number, counted when a leg is closed.";
    STORE_COMMIT = "campanile_store_commit_seconds", Histogram, [],
        "How long a commit of the writer took.";
    STORE_BATCH = "campanile_store_commit_writes", Histogram, [],
        "Writes that shared one commit.";
    STORE_WAITING = "campanile_store_waiting_writes", Gauge, [],
        "Writes that wait for the database.";
    STORE_ERRORS = "campanile_store_errors_total", Counter, [],
        "Commits that failed; records among them are written again.";
    CRM_DELIVERIES = "campanile_crm_deliveries_total", Counter, ["outcome"],
        "Deliveries of CRM events: delivered, retried, dead.";
    CRM_WAITING = "campanile_crm_outbox_waiting", Gauge, [],
        "CRM events that no receiver has acknowledged.";
    CRM_AGE = "campanile_crm_outbox_age_seconds", Gauge, [],
        "Age of the oldest CRM event that waits.";
    RUN_LOG_BYTES = "campanile_run_log_bytes_total", Counter, [], "Bytes written to the run log.";
    RUN_LOG_LOST = "campanile_run_log_lost_total", Counter, [],
        "Inputs that are missing in the run log, because the disk was too slow or failed.";
    HTTP_REQUESTS = "campanile_http_requests_total", Counter, ["method", "route", "status"],
        "HTTP requests of the API.";
    HTTP_SECONDS = "campanile_http_request_seconds", Histogram, ["route"],
        "How long answers of the API took.";
    EVENT_STREAMS = "campanile_event_streams", Gauge, [], "Open event streams of pages.";
}

/// Buckets of everything that is measured in seconds, from half a millisecond to half a minute.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
/// Buckets of things counted in a batch.
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];
const PPM: f64 = 1_000_000.0;

/// Renders what was counted.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Why metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The exporter refused its settings.
    #[error("the metrics exporter")]
    Build(#[from] BuildError),
    /// Something else counts already.
    #[error("metrics were set up twice")]
    Twice,
}

impl Metrics {
    /// Counts for the whole process from here on.
    pub fn install() -> Result<Self, MetricsError> {
        let recorder = builder()?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Twice)?;
        describe();
        gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self(handle))
    }

    /// Renders a recorder of its own that nothing writes to: for tests that share a process.
    pub fn detached() -> Result<Self, MetricsError> {
        Ok(Self(builder()?.build_recorder().handle()))
    }

    /// The text that Prometheus reads, with the live views as gauges in it.
    pub fn render(&self, live: &Live) -> String {
        live_gauges(live);
        self.0.render()
    }

    /// Folds histograms that wait to be folded; to be called every few seconds, or memory grows
    /// while nobody scrapes.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full(STORE_BATCH.into()), COUNTS)
}

fn describe() {
    for metric in METRICS {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Gauges of what the driver publishes for pages anyway: read when somebody asks.
fn live_gauges(live: &Live) {
    let mut agents = std::collections::BTreeMap::from(
        [
            "logged_out",
            "connecting",
            "paused",
            "ready",
            "preview",
            "dialling",
            "on_call",
            "wrap_up",
        ]
        .map(|state| (state, 0_u32)),
    );
    for agent in live.agents.values() {
        if let Some(count) = agents.get_mut(agent.state.as_str()) {
            *count += 1;
        }
    }
    for (state, count) in agents {
        gauge!(AGENTS, "state" => state).set(f64::from(count));
    }
    for (id, board) in &live.boards {
        board_gauges(&id.to_string(), board);
    }
}

fn board_gauges(campaign: &str, board: &BoardView) {
    let of = |name: &'static str, state: &'static str, value: f64| {
        gauge!(name, "campaign" => campaign.to_owned(), "state" => state).set(value);
    };
    of(CALLS, "ringing", f64::from(board.ringing));
    of(CALLS, "waiting", f64::from(board.waiting));
    of(CALLS, "talking", f64::from(board.talking));
    of(CONTACTS, "ready", board.contacts.ready as f64);
    of(CONTACTS, "waits", board.contacts.waits as f64);
    of(CONTACTS, "live", board.contacts.live as f64);
    of(CONTACTS, "closed", board.contacts.closed as f64);
    let rate = f64::from(board.abandon.rate_ppm) / PPM;
    let limit = f64::from(board.abandon.limit_ppm) / PPM;
    gauge!(ABANDONED_RATIO, "campaign" => campaign.to_owned()).set(rate);
    gauge!(ABANDONED_RATIO_LIMIT, "campaign" => campaign.to_owned()).set(limit);
}

/// Notes when the process began.
pub fn started(utc_ms: i64) {
    gauge!(START_TIME).set(utc_ms as f64 / 1_000.0);
}

/// Counts a fact of the engine.
pub fn fact(fact: &Fact) {
    match fact {
        Fact::IntentRefused(campaign, reason) => {
            counter!(INTENTS_REFUSED, "campaign" => label(*campaign), "reason" => refusal(*reason))
                .increment(1);
        }
        Fact::IntentExpired(campaign) => {
            counter!(INTENTS_EXPIRED, "campaign" => label(*campaign)).increment(1);
        }
        Fact::AttemptEnded(campaign, result) => {
            counter!(ATTEMPTS, "campaign" => label(*campaign), "result" => result.code())
                .increment(1);
        }
        Fact::AnswerToAgent(campaign, micros) => {
            let seconds = Duration::from_micros(*micros).as_secs_f64();
            histogram!(ANSWER_TO_AGENT, "campaign" => label(*campaign)).record(seconds);
        }
        Fact::AgentVanished(_) => counter!(AGENTS_VANISHED).increment(1),
        Fact::HeldBack(campaign) => {
            counter!(HELD_BACK, "campaign" => label(*campaign)).increment(1);
        }
        // A change of state: the log and the page tell it.
        Fact::CampaignFinished(_) => {}
        Fact::ClockStepped(_) => counter!(CLOCK_STEPS).increment(1),
        Fact::OutOfOrder(_) => bug("engine"),
    }
}

fn label(campaign: CampaignId) -> String {
    campaign.get().to_string()
}

const fn refusal(reason: crate::domain::attempt::IntentRefusal) -> &'static str {
    use crate::domain::attempt::IntentRefusal as R;
    match reason {
        R::NotReady => "not_ready",
        R::DoNotCall => "do_not_call",
        R::NumberGap => "number_gap",
        R::LeaseLost => "lease_lost",
        R::NumberNotAllowed => "number_not_allowed",
        R::StoreFailed => "store_failed",
    }
}

/// Counts something that only a bug of ours can cause.
pub fn bug(place: &'static str) {
    counter!(BUGS, "place" => place).increment(1);
}

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To us.
    In,
    /// From us.
    Out,
}

impl Direction {
    const fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Counts a remarkable SIP message; `event` is one of the facade's own labels.
pub fn sip_event(event: &'static str) {
    counter!(SIP_EVENTS, "event" => event).increment(1);
}

/// Counts a SIP datagram.
pub fn sip_packet(direction: Direction) {
    counter!(SIP_PACKETS, "direction" => direction.label()).increment(1);
}

/// Counts the RTP packets of a leg that is closed.
pub fn rtp_leg(came: u64, sent: u64, lost: u64) {
    counter!(RTP_PACKETS, "direction" => Direction::In.label()).increment(came);
    counter!(RTP_PACKETS, "direction" => Direction::Out.label()).increment(sent);
    counter!(RTP_LOST).increment(lost);
}

/// A commit of the writer: how long it took and how many writes shared it.
pub fn store_commit(took: Duration, writes: usize) {
    histogram!(STORE_COMMIT).record(took.as_secs_f64());
    histogram!(STORE_BATCH).record(writes as f64);
}

/// Writes that wait for the database.
pub fn store_waiting(writes: usize) {
    gauge!(STORE_WAITING).set(writes as f64);
}

/// A commit failed.
pub fn store_error() {
    counter!(STORE_ERRORS).increment(1);
}

/// How a delivery of a CRM event went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver took it.
    Delivered,
    /// It is tried again.
    Retried,
    /// It went to the dead letters.
    Dead,
}

/// Counts a delivery of a CRM event.
pub fn crm_delivery(outcome: Delivery) {
    let outcome = match outcome {
        Delivery::Delivered => "delivered",
        Delivery::Retried => "retried",
        Delivery::Dead => "dead",
    };
    counter!(CRM_DELIVERIES, "outcome" => outcome).increment(1);
}

/// CRM events that wait, and the age of the oldest.
pub fn crm_outbox(waiting: u64, oldest: Duration) {
    gauge!(CRM_WAITING).set(waiting as f64);
    gauge!(CRM_AGE).set(oldest.as_secs_f64());
}

/// Counts what the run log wrote, and what it could not.
pub fn run_log(bytes: u64, lost: u64) {
    counter!(RUN_LOG_BYTES).increment(bytes);
    counter!(RUN_LOG_LOST).increment(lost);
}

/// Counts an HTTP request; `route` is the pattern, never the path.
pub fn http_request(method: &str, route: &str, status: u16, took: Duration) {
    counter!(
        HTTP_REQUESTS,
        "method" => method.to_owned(),
        "route" => route.to_owned(),
        "status" => status.to_string()
    )
    .increment(1);
    histogram!(HTTP_SECONDS, "route" => route.to_owned()).record(took.as_secs_f64());
}

/// Counts an open event stream for as long as it lives.
#[derive(Debug)]
pub struct OpenStream(());

impl OpenStream {
    /// One more is open.
    #[expect(clippy::new_without_default, reason = "a default value would count")]
    pub fn new() -> Self {
        gauge!(EVENT_STREAMS).increment(1.0);
        Self(())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        gauge!(EVENT_STREAMS).decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::adapters::views::{AbandonView, AgentView};
    use crate::domain::call_result::CallResult;

    /// What a scrape shows after `count` ran under a recorder of its own.
    fn scraped(live: &Live, count: impl FnOnce()) -> String {
        let recorder = builder().unwrap().build_recorder();
        let metrics = Metrics(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            count();
            metrics.render(live)
        })
    }

    #[test]
    fn names_are_of_one_form_and_said_once() {
        let mut names = std::collections::BTreeSet::new();
        for metric in METRICS {
            assert!(metric.name.starts_with("campanile_") && names.insert(metric.name));
            assert_eq!(metric.name.ends_with("_total"), metric.kind == MetricKind::Counter);
        }
    }

    #[test]
    fn a_fact_of_the_engine_is_counted_under_its_result() {
        let text = scraped(&Live::default(), || {
            fact(&Fact::AttemptEnded(CampaignId::new(3), CallResult::Busy));
            fact(&Fact::AttemptEnded(CampaignId::new(3), CallResult::Busy));
            fact(&Fact::AnswerToAgent(CampaignId::new(3), 40_000));
        });
        assert!(
            text.contains(r#"campanile_attempts_total{campaign="3",result="busy"} 2"#),
            "{text}"
        );
        assert!(
            text.contains(r#"campanile_answer_to_agent_seconds_bucket{campaign="3",le="0.05"} 1"#)
        );
    }

    #[test]
    fn the_live_views_are_gauges_at_the_moment_of_the_scrape() {
        let abandon = AbandonView { rate_ppm: 25_000, limit_ppm: 30_000, ..Default::default() };
        let board = BoardView { talking: 4, abandon, ..BoardView::default() };
        let agent = AgentView { state: "ready".into(), ..AgentView::default() };
        let mut live = Live::default();
        live.boards.insert(1, Arc::new(board));
        live.agents.insert(9, Arc::new(agent));
        let text = scraped(&live, || {});
        assert!(text.contains(r#"campanile_calls{campaign="1",state="talking"} 4"#), "{text}");
        assert!(text.contains(r#"campanile_abandoned_ratio{campaign="1"} 0.025"#));
        assert!(text.contains(r#"campanile_agents{state="ready"} 1"#));
        assert!(text.contains(r#"campanile_agents{state="paused"} 0"#));
    }
}

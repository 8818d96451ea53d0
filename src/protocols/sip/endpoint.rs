//! The user agent: commands and datagrams in, datagrams and events out. No socket, no clock.
//!
//! A response finds its call by Call-ID, which holds the leg, and its transaction by branch and
//! CSeq method. What finds none is either an answer to an INVITE that another process of ours had
//! sent, and is acknowledged, or is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::facade::{
    Command, Counter, Event, Failure, FailureKind, Invite, Orphan, Output, ReasonValue, Target,
};
use super::ids;
use super::inbound::{self, Inbound, Origin, Seen};
use super::message::{Message, Request, Response};
use super::orphan::OrphanCall;
use super::outgoing::{Local, Outcome, RequestOut};
use super::own_invite::OwnInvite;
use super::timers::Timers;
use super::uac_call::UacCall;
use super::uri::Uri;
use super::vocabulary::Method;
use super::wire::WireError;
use crate::domain::ids::LegId;
use crate::domain::time::Mono;

/// Calls at one time. Ten times what the largest installation on one machine needs; at about 4 kB
/// each it bounds memory, not business, which has limits of its own.
const CALLS_MAX: usize = 20_000;
/// OPTIONS on their way: trunks and phones that are asked at the same time.
const OPTIONS_MAX: usize = 4_096;
/// Answers to INVITEs of an earlier process that are ended with BYE at one time.
const STRAYS_MAX: usize = 4_096;

/// What the endpoint is made of.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// The address in our Via and Contact: where others reach us.
    pub local: SocketAddr,
    /// User-Agent and Server.
    pub user_agent: String,
    /// Networks from which requests that open a dialog are answered at all.
    pub networks: Vec<IpNet>,
    /// Dice of this process, for names that must not repeat after a restart.
    pub seed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Machine {
    Call(LegId),
    Orphan(LegId),
    Options(String),
    Stray(String),
    Inbound(inbound::Key),
}

/// A SIP user agent over UDP.
#[derive(Debug)]
pub struct Endpoint {
    local: Local,
    networks: Vec<IpNet>,
    seed: u64,
    calls: BTreeMap<LegId, UacCall>,
    orphans: BTreeMap<LegId, OrphanCall>,
    /// By branch.
    options: BTreeMap<String, (u64, RequestOut)>,
    /// BYEs to answers nobody waits for, by branch.
    strays: BTreeMap<String, RequestOut>,
    inbound: Inbound,
    timers: Timers<Machine>,
    outputs: VecDeque<Output>,
}

impl Endpoint {
    /// An endpoint with nothing to do.
    pub fn new(config: EndpointConfig) -> Self {
        Self {
            local: Local { addr: config.local, user_agent: Arc::from(config.user_agent) },
            networks: config.networks,
            seed: config.seed,
            calls: BTreeMap::new(),
            orphans: BTreeMap::new(),
            options: BTreeMap::new(),
            strays: BTreeMap::new(),
            inbound: Inbound::default(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Replaces the trusted networks: a trunk or agent was added or removed.
    pub fn set_networks(&mut self, networks: Vec<IpNet>) {
        self.networks = networks;
    }

    /// Takes a command.
    pub fn handle_command(&mut self, now: Mono, command: Command) {
        match command {
            Command::Invite(invite) => self.invite(now, &invite),
            Command::Cancel { leg, reason } | Command::Bye { leg, reason } => {
                self.end_call(now, leg, reason);
            }
            Command::Orphan(orphan) => self.adopt(now, *orphan),
            Command::Options { id, target } => self.ask_options(now, id, &target),
            Command::Networks(networks) => self.set_networks(networks),
        }
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Mono, from: SocketAddr, bytes: &[u8]) {
        match Message::parse(bytes) {
            Ok(Message::Request(request)) => self.handle_request(now, from, request),
            Ok(Message::Response(response)) => self.handle_response(now, from, &response),
            Err(WireError::KeepAlive) => {}
            Err(_) => self.count(Counter::Malformed),
        }
    }

    /// The socket refused a datagram that came out of [`Self::poll_output`].
    pub fn handle_send_error(&mut self, now: Mono, bytes: &[u8]) {
        // A response that could not be sent is sent again when its request is repeated.
        let Ok(Message::Request(request)) = Message::parse(bytes) else { return };
        let branch = request.common.via.branch().unwrap_or_default();
        if let Some((_, options)) = self.options.get_mut(branch) {
            options.handle_transport_error();
            self.settle(&Machine::Options(branch.to_owned()));
        }
        let Some(leg) = ids::leg_of(&request.common.call_id) else { return };
        if let Some(call) = self.calls.get_mut(&leg) {
            call.handle_transport_error(now, branch, &request.method);
            self.settle(&Machine::Call(leg));
        }
        if let Some(orphan) = self.orphans.get_mut(&leg) {
            orphan.handle_transport_error(branch, &request.method);
            self.settle(&Machine::Orphan(leg));
        }
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Fires what is due. Early or repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Mono) {
        while let Some(machine) = self.timers.pop_due(now) {
            match &machine {
                Machine::Call(leg) => {
                    if let Some(call) = self.calls.get_mut(leg) {
                        call.handle_timeout(now);
                    }
                }
                Machine::Orphan(leg) => {
                    if let Some(orphan) = self.orphans.get_mut(leg) {
                        orphan.handle_timeout(now);
                    }
                }
                Machine::Options(branch) => {
                    if let Some((_, request)) = self.options.get_mut(branch) {
                        request.handle_timeout(now);
                    }
                }
                Machine::Stray(branch) => {
                    if let Some(bye) = self.strays.get_mut(branch) {
                        bye.handle_timeout(now);
                    }
                }
                Machine::Inbound(key) => {
                    let again = self.inbound.handle_timeout(now, key);
                    self.outputs.extend(again);
                }
            }
            self.settle(&machine);
        }
    }

    /// The next datagram or event; call until `None` after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether no call, no transaction and no output is left.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
            && self.orphans.is_empty()
            && self.options.is_empty()
            && self.strays.is_empty()
            && self.inbound.is_empty()
            && self.outputs.is_empty()
    }

    fn invite(&mut self, now: Mono, invite: &Invite) {
        let leg = invite.leg;
        if self.calls.contains_key(&leg) || self.orphans.contains_key(&leg) {
            return self.count(Counter::DuplicateLeg);
        }
        if self.calls.len() >= CALLS_MAX {
            self.count(Counter::LimitReached);
            let failure = Failure {
                status: None,
                phrase: String::new(),
                q850: None,
                reason_protocol: None,
                retry_after_s: None,
                cancelled_by_us: false,
                kind: FailureKind::NotSent,
            };
            return self.outputs.push_back(Output::Event(Event::Failed { leg, failure }));
        }
        self.calls.insert(leg, UacCall::new(now, invite, &self.local));
        self.settle(&Machine::Call(leg));
    }

    fn end_call(&mut self, now: Mono, leg: LegId, reason: ReasonValue) {
        if let Some(call) = self.calls.get_mut(&leg) {
            call.cancel(now, reason);
            self.settle(&Machine::Call(leg));
        }
    }

    fn adopt(&mut self, now: Mono, orphan: Orphan) {
        let leg = orphan.leg;
        if self.calls.contains_key(&leg) || self.orphans.contains_key(&leg) {
            return self.count(Counter::DuplicateLeg);
        }
        self.orphans.insert(leg, OrphanCall::new(now, orphan, &self.local.user_agent));
        self.settle(&Machine::Orphan(leg));
    }

    fn ask_options(&mut self, now: Mono, id: u64, target: &Target) {
        if self.options.len() >= OPTIONS_MAX {
            self.count(Counter::LimitReached);
            let event = Event::OptionsAnswered { id, status: None };
            return self.outputs.push_back(Output::Event(event));
        }
        let name = format!("{:016x}", xxh3_64_with_seed(&id.to_be_bytes(), self.seed));
        let branch = format!("{}{name}o", ids::MAGIC_COOKIE);
        // RFC 3261 §11.1.
        let draft = self
            .local
            .request(&Method::OPTIONS, &target.uri, &branch)
            .header("From", format!("<sip:campanile@{}>;tag={name}", self.local.addr))
            .header("To", format!("<{}>", target.uri))
            .header("Call-ID", format!("{name}@campanile"))
            .header("CSeq", "1 OPTIONS")
            .header("Contact", self.local.contact())
            .header("Accept", "application/sdp")
            .header("User-Agent", &*self.local.user_agent);
        let bytes = draft.to_bytes();
        let request = RequestOut::start(now, Method::OPTIONS, branch.clone(), target.addr, bytes);
        self.options.insert(branch.clone(), (id, request));
        self.settle(&Machine::Options(branch));
    }

    fn handle_response(&mut self, now: Mono, from: SocketAddr, response: &Response) {
        let branch = response.common.via.branch().unwrap_or_default();
        if let Some((_, request)) = self.options.get_mut(branch) {
            request.handle_response(now, response.status);
            return self.settle(&Machine::Options(branch.to_owned()));
        }
        if let Some(bye) = self.strays.get_mut(branch).filter(|b| b.is_answered_by(response)) {
            bye.handle_response(now, response.status);
            return self.settle(&Machine::Stray(branch.to_owned()));
        }
        let leg = ids::leg_of(&response.common.call_id);
        // RFC 3261 §8.1.3.3 and §17.1.3: From and branch are ours, or it is not an answer to us.
        let leg = leg.filter(|leg| response.common.from.tag() == Some(&ids::tag(*leg)));
        let Some(leg) = leg else { return self.count(Counter::StrayResponse) };
        let (machine, taken) = if let Some(call) = self.calls.get_mut(&leg) {
            (Machine::Call(leg), call.handle_response(now, response))
        } else if let Some(orphan) = self.orphans.get_mut(&leg) {
            (Machine::Orphan(leg), orphan.handle_response(now, response))
        } else {
            return self.handle_stray_response(now, from, leg, response);
        };
        self.settle(&machine);
        if !taken {
            self.count(Counter::StrayResponse);
        }
    }

    /// A final response to an INVITE that this process does not know (any more).
    fn handle_stray_response(
        &mut self,
        now: Mono,
        from: SocketAddr,
        leg: LegId,
        response: &Response,
    ) {
        let is_invite = response.common.cseq.method == Method::INVITE
            && response.common.cseq.number == ids::INVITE_CSEQ
            && response.common.via.branch() == Some(&ids::invite_branch(leg, ids::INVITE_CSEQ));
        if !is_invite || response.is_provisional() {
            return self.count(Counter::StrayResponse);
        }
        self.count(Counter::StrayFinal);
        let own = OwnInvite::of_answer(leg, from, response, &self.local);
        if !response.is_success() {
            let bytes = own.ack_refusal(response);
            return self.outputs.push_back(Output::Send { to: from, bytes });
        }
        let mut dialog = own.dialog(response);
        self.outputs.push_back(Output::Send { to: dialog.peer, bytes: own.ack(&dialog) });
        let reason = ReasonValue::Recovered.header_value();
        let bye = own.bye(now, &mut dialog, reason);
        let branch = bye.branch().to_owned();
        if self.strays.contains_key(&branch) {
            return;
        }
        if self.strays.len() >= STRAYS_MAX {
            return self.count(Counter::LimitReached);
        }
        self.strays.insert(branch.clone(), bye);
        self.settle(&Machine::Stray(branch));
    }

    fn handle_request(&mut self, now: Mono, from: SocketAddr, mut request: Request) {
        request.stamp(from);
        let (seen, again) = self.inbound.sort(now, &request);
        let origin = match seen {
            Seen::New(origin) => origin,
            Seen::Handled => {
                if again.is_some() {
                    self.count(Counter::RetransmissionReceived);
                }
                self.outputs.extend(again);
                // An ACK may have started timer I.
                let key = inbound::key_of(&request, &request.method);
                return self.settle(&Machine::Inbound(key));
            }
        };
        let status = match origin {
            Origin::InDialog => self.status_in_dialog(now, &request),
            Origin::OutOfDialog => None,
        };
        let trusted = self.networks.iter().any(|network| network.contains(&from.ip()));
        let status = match (status, origin) {
            (Some(status), _) => status,
            (None, _) if !trusted => return self.count(Counter::RefusedSource),
            // RFC 3261 §12.2.2.
            (None, Origin::InDialog) => 481,
            (None, Origin::OutOfDialog) => self.status_out_of_dialog(&request),
        };
        if status == 481 {
            self.count(Counter::Stray481);
        }
        // RFC 3261 §8.2.6.2: our tag, the same for every answer to this request.
        let tag = xxh3_64_with_seed(request.common.call_id.as_bytes(), self.seed);
        let draft = inbound::draft(&request, status, &format!("{tag:016x}"), &self.local);
        let key = self.inbound.answer(now, from, &request, &draft, &mut self.outputs);
        if let Some(key) = key {
            self.settle(&Machine::Inbound(key));
        }
    }

    /// The answer of the dialog the request names; `None` where there is no such dialog.
    fn status_in_dialog(&mut self, now: Mono, request: &Request) -> Option<u16> {
        let leg = ids::leg_of(&request.common.call_id)?;
        if request.common.to.tag() != Some(&ids::tag(leg)) {
            return None;
        }
        if let Some(call) = self.calls.get_mut(&leg) {
            // A BYE ends the session whatever else it wants.
            let status = if requires_extension(request) && request.method != Method::BYE {
                Some(420)
            } else {
                call.handle_request(now, request)
            };
            self.settle(&Machine::Call(leg));
            return status;
        }
        let orphan = self.orphans.get_mut(&leg)?;
        let status = orphan.handle_request(request);
        self.settle(&Machine::Orphan(leg));
        status
    }

    fn status_out_of_dialog(&mut self, request: &Request) -> u16 {
        let scheme = Uri::parse(&request.uri).map(|uri| uri.scheme);
        match &request.method {
            // RFC 3261 §9.2: the INVITE of this CANCEL was refused already.
            &Method::CANCEL if self.inbound.knows_invite_of(request) => 200,
            &Method::CANCEL => 481,
            // §8.2.2.1.
            _ if !scheme.is_some_and(|s| ["sip", "sips", "tel"].contains(&s.as_str())) => 416,
            _ if requires_extension(request) => 420,
            &Method::OPTIONS => 200,
            &Method::INVITE => {
                self.count(Counter::RefusedRequest);
                486
            }
            Method::Known(_) => {
                self.count(Counter::RefusedRequest);
                405
            }
            Method::Other(_) => {
                self.count(Counter::RefusedRequest);
                501
            }
        }
    }

    /// Takes a machine's outputs, sets its timer, and drops it once it is done.
    fn settle(&mut self, machine: &Machine) {
        let deadline = match machine {
            Machine::Call(leg) => self.calls.get_mut(leg).and_then(|call| {
                self.outputs.extend(std::iter::from_fn(|| call.poll_output()));
                call.poll_timeout()
            }),
            Machine::Orphan(leg) => self.orphans.get_mut(leg).and_then(|orphan| {
                self.outputs.extend(std::iter::from_fn(|| orphan.poll_output()));
                orphan.poll_timeout()
            }),
            Machine::Options(branch) => self.options.get_mut(branch).and_then(|(id, request)| {
                if let Some(outcome) = request.drain(&mut self.outputs) {
                    let status = match outcome {
                        Outcome::Answered(status) => Some(status),
                        Outcome::NoAnswer => None,
                    };
                    let event = Event::OptionsAnswered { id: *id, status };
                    self.outputs.push_back(Output::Event(event));
                }
                request.poll_timeout()
            }),
            Machine::Stray(branch) => self.strays.get_mut(branch).and_then(|bye| {
                let _outcome = bye.drain(&mut self.outputs);
                bye.poll_timeout()
            }),
            Machine::Inbound(key) => self.inbound.poll_timeout(key),
        };
        self.timers.set(machine, deadline);
        match machine {
            Machine::Call(leg) if self.calls.get(leg).is_some_and(UacCall::is_done) => {
                self.calls.remove(leg);
            }
            Machine::Orphan(leg) if self.orphans.get(leg).is_some_and(OrphanCall::is_done) => {
                self.orphans.remove(leg);
            }
            Machine::Options(b) if self.options.get(b).is_some_and(|(_, r)| r.is_done()) => {
                self.options.remove(b);
            }
            Machine::Stray(b) if self.strays.get(b).is_some_and(RequestOut::is_done) => {
                self.strays.remove(b);
            }
            Machine::Call(_)
            | Machine::Orphan(_)
            | Machine::Options(_)
            | Machine::Stray(_)
            | Machine::Inbound(_) => {}
        }
    }

    fn count(&mut self, counter: Counter) {
        self.outputs.push_back(Output::Event(Event::Counted(counter)));
    }
}

/// RFC 3261 §8.2.2.3: we know no extension, so whatever is required is too much.
fn requires_extension(request: &Request) -> bool {
    request.headers.list("Require").next().is_some()
}

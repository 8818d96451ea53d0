//! An INVITE of ours, and what must repeat it: CANCEL, the ACK of a refusal, the dialog of a 2xx.

use std::net::SocketAddr;
use std::sync::Arc;

use super::facade::{DialogState, Invite, Orphan, ReasonValue, Target};
use super::headers::{NameAddr, Params};
use super::ids::{self, INVITE_CSEQ};
use super::message::{Common, Draft, Response};
use super::outgoing::{ALLOW, Local, RequestOut};
use super::profile::InDialogTo;
use super::uri::Uri;
use super::vocabulary::Method;
use crate::domain::ids::LegId;
use crate::domain::time::Mono;

/// The parts of an INVITE that later messages repeat to the letter.
#[derive(Debug)]
pub(super) struct OwnInvite {
    pub(super) leg: LegId,
    pub(super) target: Target,
    tag: String,
    local: Local,
    call_id: String,
    /// From without its tag.
    from: String,
    routes: Vec<String>,
    in_dialog_to: InDialogTo,
}

impl OwnInvite {
    /// The repeated parts of an INVITE, sent by this process or by one that is gone.
    pub(super) fn of(orphan: Orphan, user_agent: &Arc<str>) -> Self {
        Self {
            leg: orphan.leg,
            target: orphan.target,
            tag: ids::tag(orphan.leg),
            local: Local { addr: orphan.local, user_agent: Arc::clone(user_agent) },
            call_id: ids::call_id(orphan.leg),
            from: orphan.from,
            routes: orphan.routes,
            in_dialog_to: orphan.in_dialog_to,
        }
    }

    /// The same parts, as far as an answer tells them, for a call that nobody knows any more.
    pub(super) fn of_answer(
        leg: LegId,
        source: SocketAddr,
        answer: &Response,
        local: &Local,
    ) -> Self {
        let Common { via, from, to, call_id, .. } = &answer.common;
        // Our own Via comes back to us; it may name the address of the process before.
        let host = via.host.parse().unwrap_or(local.addr.ip());
        let addr = SocketAddr::new(host, via.port.unwrap_or(local.addr.port()));
        let from = NameAddr { params: Params::default(), ..from.clone() };
        Self {
            leg,
            // The Request-URI is not in an answer; To began as the same.
            target: Target { addr: source, uri: to.uri.clone() },
            tag: ids::tag(leg),
            local: Local { addr, user_agent: Arc::clone(&local.user_agent) },
            call_id: call_id.clone(),
            from: from.to_string(),
            routes: Vec::new(),
            in_dialog_to: InDialogTo::Contact,
        }
    }

    pub(super) fn branch(&self) -> String {
        ids::invite_branch(self.leg, INVITE_CSEQ)
    }

    /// The INVITE itself.
    pub(super) fn invite(&self, invite: &Invite) -> Vec<u8> {
        let mut draft = self
            .begin(&Method::INVITE, &format!("<{}>", self.target.uri))
            .header("Contact", self.local.contact())
            .header("Allow", ALLOW)
            .header("User-Agent", &*self.local.user_agent);
        for (name, value) in invite.profile.caller_id_headers(&invite.from) {
            draft = draft.header(name, value);
        }
        for (name, value) in &invite.headers {
            if !name.eq_ignore_ascii_case("Route") {
                draft = draft.header(name.clone(), value.as_str());
            }
        }
        draft.sdp(&invite.sdp).to_bytes()
    }

    /// RFC 3261 §9.1: Request-URI, Call-ID, To, From, CSeq number, top Via and Route of the INVITE.
    pub(super) fn cancel(&self, now: Mono, reason: ReasonValue) -> RequestOut {
        let to = format!("<{}>", self.target.uri);
        let draft = self.begin(&Method::CANCEL, &to).header("Reason", reason.header_value());
        let bytes = draft.to_bytes();
        RequestOut::start(now, Method::CANCEL, self.branch(), self.target.addr, bytes)
    }

    /// RFC 3261 §17.1.1.3: as the INVITE, with the refusal's To.
    pub(super) fn ack_refusal(&self, refusal: &Response) -> Vec<u8> {
        self.begin(&Method::ACK, refusal.headers.get("To").unwrap_or_default()).to_bytes()
    }

    /// RFC 3261 §12.1.2: the dialog that a 2xx makes.
    pub(super) fn dialog(&self, answer: &Response) -> DialogState {
        let contact = answer.contact().map(|contact| contact.uri);
        let mut remote = answer.common.to.clone();
        let remote_tag = remote.tag().unwrap_or_default().to_owned();
        remote.params = Params::default();
        let mut dialog = DialogState {
            call_id: self.call_id.clone(),
            local_tag: self.tag.clone(),
            remote_tag,
            // A 2xx must have a Contact (§13.3.1.4); one without is reached where the call went.
            remote_target: contact.unwrap_or_else(|| self.target.uri.clone()),
            route_set: answer.route_set(),
            local_cseq: INVITE_CSEQ,
            remote_cseq: None,
            peer: self.target.addr,
            local_uri: self.from.clone(),
            remote_uri: remote.to_string(),
        };
        dialog.peer = self.next_hop(&dialog);
        dialog
    }

    /// RFC 3261 §12.2.1.1: the first Route or else the remote target, where that is an address;
    /// names would need DNS, and the trunk's own address is as good.
    pub(super) fn next_hop(&self, dialog: &DialogState) -> SocketAddr {
        let first = dialog.route_set.first().and_then(|route| NameAddr::parse(route));
        let uri = first.map_or_else(|| dialog.remote_target.clone(), |route| route.uri);
        match self.in_dialog_to {
            InDialogTo::Trunk => self.target.addr,
            InDialogTo::Contact => {
                Uri::parse(&uri).and_then(|uri| uri.socket_addr()).unwrap_or(self.target.addr)
            }
        }
    }

    /// RFC 3261 §13.2.2.4: the ACK of a 2xx is a request inside its dialog.
    pub(super) fn ack(&self, dialog: &DialogState) -> Vec<u8> {
        let branch = ids::dialog_branch(self.leg, INVITE_CSEQ, 'a', &dialog.remote_tag);
        dialog.request(&self.local, &Method::ACK, INVITE_CSEQ, &branch).to_bytes()
    }

    /// A BYE in `dialog`, whose count of requests goes up.
    pub(super) fn bye(&self, now: Mono, dialog: &mut DialogState, reason: &str) -> RequestOut {
        dialog.local_cseq = dialog.local_cseq.saturating_add(1);
        let branch = ids::dialog_branch(self.leg, dialog.local_cseq, 'b', &dialog.remote_tag);
        let draft = dialog.request(&self.local, &Method::BYE, dialog.local_cseq, &branch);
        let bytes = draft.header("Reason", reason).to_bytes();
        RequestOut::start(now, Method::BYE, branch, dialog.peer, bytes)
    }

    fn begin(&self, method: &Method, to: &str) -> Draft {
        let mut draft = self.local.request(method, &self.target.uri, &self.branch());
        for route in &self.routes {
            draft = draft.header("Route", route.as_str());
        }
        draft
            .header("From", format!("{};tag={}", self.from, self.tag))
            .header("To", to)
            .header("Call-ID", self.call_id.as_str())
            .header("CSeq", format!("{INVITE_CSEQ} {method}"))
    }
}

impl DialogState {
    /// Begins a request inside the dialog.
    pub(super) fn request(&self, local: &Local, method: &Method, cseq: u32, branch: &str) -> Draft {
        let (uri, routes) = self.route();
        let mut draft = local.request(method, &uri, branch);
        for route in routes {
            draft = draft.header("Route", route);
        }
        // A callee from before RFC 3261 has no tag; ours then has none to repeat (§12.2.1.1).
        let remote_tag = match self.remote_tag.as_str() {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        draft
            .header("From", format!("{};tag={}", self.local_uri, self.local_tag))
            .header("To", format!("{}{remote_tag}", self.remote_uri))
            .header("Call-ID", self.call_id.as_str())
            .header("CSeq", format!("{cseq} {method}"))
    }

    /// RFC 3261 §12.2.1.1: Request-URI and Route values.
    fn route(&self) -> (String, Vec<String>) {
        let first = self.route_set.first().and_then(|route| NameAddr::parse(route));
        match first {
            // A strict router takes the Request-URI for itself; the target goes to the end.
            Some(strict) if !strict.parts().is_some_and(|uri| uri.is_loose_router()) => {
                let mut routes: Vec<String> = self.route_set.iter().skip(1).cloned().collect();
                routes.push(format!("<{}>", self.remote_target));
                (strict.uri, routes)
            }
            Some(_) | None => (self.remote_target.clone(), self.route_set.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(routes: &[&str]) -> DialogState {
        DialogState {
            call_id: "c".into(),
            local_tag: "l".into(),
            remote_tag: "r".into(),
            remote_target: "sip:callee@192.0.2.7:5090".into(),
            route_set: routes.iter().map(|&r| r.to_owned()).collect(),
            local_cseq: 1,
            remote_cseq: None,
            peer: "192.0.2.7:5090".parse().unwrap(),
            local_uri: "<sip:a@h>".into(),
            remote_uri: "<sip:b@h>".into(),
        }
    }

    #[test]
    fn loose_routers_are_listed_and_the_target_stays_the_request_uri() {
        let routes = ["<sip:192.0.2.8;lr>", "<sip:p2;lr;vsf=AA==>"];
        let (uri, written) = dialog(&routes).route();
        assert_eq!(uri, "sip:callee@192.0.2.7:5090");
        assert_eq!(written, routes);
    }

    #[test]
    fn a_strict_router_becomes_the_request_uri_and_the_target_comes_last() {
        let (uri, written) = dialog(&["<sip:p1>", "<sip:p2;lr>"]).route();
        assert_eq!(uri, "sip:p1");
        assert_eq!(written, ["<sip:p2;lr>", "<sip:callee@192.0.2.7:5090>"]);
    }
}

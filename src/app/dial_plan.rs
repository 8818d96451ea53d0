//! From ids to wires: the INVITE of a customer or of an agent's phone, and its remains after a crash.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::domain::ids::LegId;
use crate::domain::phone::E164;
use crate::domain::trunk::TrunkSettings;
use crate::protocols::sdp;
use crate::protocols::sip::profile::Profile;
use crate::protocols::sip::{CallerId, Invite, Target};

/// The port of SIP over UDP where none is given (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;

/// A trunk with its profile.
#[derive(Debug, Clone)]
pub struct Trunk {
    /// As set.
    pub settings: TrunkSettings,
    /// What is true of its kind.
    pub profile: Arc<Profile>,
}

/// Why a phone's URI cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a phone's address: write sip:USER@IP:PORT")]
pub struct NotAPhone(pub String);

impl Trunk {
    /// The INVITE for a customer. `sdp` is empty where only its remains are wanted.
    pub fn invite(
        &self,
        leg: LegId,
        number: E164,
        caller_id: u32,
        local: SocketAddr,
        sdp: Vec<u8>,
    ) -> Invite {
        let host = if self.settings.domain.is_empty() {
            self.settings.address.to_string()
        } else {
            self.settings.domain.clone()
        };
        let caller = usize::try_from(caller_id)
            .ok()
            .and_then(|at| self.settings.caller_ids.get(at))
            .map_or_else(|| "anonymous".to_owned(), ToString::to_string);
        Invite {
            leg,
            target: Target {
                addr: self.settings.address,
                uri: self.profile.request_uri(&number.to_string(), &host),
            },
            from: CallerId { display: None, user: caller, host: local.to_string() },
            sdp,
            profile: Arc::clone(&self.profile),
            headers: Vec::new(),
        }
    }

    /// Whom an OPTIONS asks.
    pub fn target(&self) -> Target {
        let address = self.settings.address;
        Target { addr: address, uri: format!("sip:{address}") }
    }
}

/// The INVITE for an agent's phone.
pub fn invite_phone(
    leg: LegId,
    phone: &str,
    local: SocketAddr,
    sdp: Vec<u8>,
) -> Result<Invite, NotAPhone> {
    Ok(Invite {
        leg,
        target: Target { addr: phone_address(phone)?, uri: phone.to_owned() },
        from: CallerId {
            display: Some("Campanile".to_owned()),
            user: "campanile".to_owned(),
            host: local.to_string(),
        },
        sdp,
        profile: Arc::new(Profile::default()),
        headers: Vec::new(),
    })
}

/// Where a phone's URI leads: `sip:USER@IP[:PORT][;…]`.
pub fn phone_address(phone: &str) -> Result<SocketAddr, NotAPhone> {
    let fault = || NotAPhone(phone.to_owned());
    let rest = phone.strip_prefix("sip:").ok_or_else(fault)?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?']).next().unwrap_or(host);
    host.parse::<SocketAddr>()
        .or_else(|_| host.parse().map(|ip| SocketAddr::new(ip, SIP_PORT)))
        .map_err(|_| fault())
}

/// Our offer for a leg whose media lives at `media`.
pub fn offer(leg: LegId, media: SocketAddr) -> Vec<u8> {
    // RFC 8866 §5.2: any number that makes the session unique; the leg's own random half does.
    let (_, low) = leg.as_uuid().as_u64_pair();
    sdp::offer(media, low >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phones_address_is_read_with_and_without_port_and_parameters() {
        let at = |text: &str| phone_address(text).map(|address| address.to_string());
        assert_eq!(at("sip:101@10.1.0.7:5080"), Ok("10.1.0.7:5080".into()));
        assert_eq!(at("sip:101@10.1.0.7"), Ok("10.1.0.7:5060".into()));
        assert_eq!(at("sip:101@[::1]:5070;transport=udp"), Ok("[::1]:5070".into()));
        assert!(at("101@10.1.0.7").is_err());
        assert!(at("sip:101@pbx.example").unwrap_err().to_string().contains("sip:USER@IP"));
    }
}

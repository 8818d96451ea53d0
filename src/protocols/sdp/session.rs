//! A session description with one audio stream, read and written. The only file that names
//! sdp-types, which was measured the most tolerant of its kind.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Origin, Session};

/// RFC 4733 over the 8 kHz clock of telephony.
const TELEPHONE_EVENT: &str = "telephone-event";

/// A description larger than this is not one of a telephone call; the largest seen has 3 kB.
pub const SDP_MAX: usize = 16_384;

/// The two laws of G.711, 8 kHz mono.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// μ-law, static payload type 0 (RFC 3551 §6).
    Pcmu,
    /// A-law, static payload type 8 (RFC 3551 §6).
    Pcma,
}

impl Codec {
    /// The payload type that needs no `rtpmap`.
    pub const fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The encoding name of RFC 3551.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// Who may send (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendRecv,
    /// The describer only sends.
    SendOnly,
    /// The describer only receives.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// The same agreement seen from the other side (RFC 3264 §6.1).
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::SendRecv | Self::Inactive => self,
        }
    }

    /// Whether the describer sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    const fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn find(attributes: &[Attribute]) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        attributes
            .iter()
            .find_map(|a| all.into_iter().find(|d| a.attribute.eq_ignore_ascii_case(d.attribute())))
    }
}

/// One payload type of an audio stream, as far as we know what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Speech we can carry.
    Speech(Codec),
    /// Keys pressed (RFC 4733).
    TelephoneEvent,
    /// Anything else.
    Unknown,
}

/// An audio stream over plain RTP, as one side describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Where the describer wants RTP; port 0 means the stream is refused (RFC 3264 §6).
    pub address: SocketAddr,
    /// Where it wants RTCP, if elsewhere than one port above (RFC 3605).
    pub rtcp: Option<SocketAddr>,
    /// Payload types in the describer's order of preference.
    pub formats: Vec<(u8, Format)>,
    /// Who may send, from the describer's view.
    pub direction: Direction,
}

/// What of a description matters to a telephone call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The first audio stream over RTP/AVP.
    pub audio: Option<Audio>,
    /// Its place among the streams, and each stream's `media proto formats`: an answer must refuse
    /// the others one by one (RFC 3264 §6).
    pub streams: Vec<String>,
    /// Which of `streams` is `audio`.
    pub audio_index: usize,
}

/// Reads a description; `None` where it is not one, or its audio has no address of numbers.
pub fn read(bytes: &[u8]) -> Option<Description> {
    let bytes = (bytes.len() <= SDP_MAX).then_some(bytes)?;
    let session = Session::parse(bytes).ok()?;
    let streams =
        session.medias.iter().map(|m| format!("{} 0 {} {}", m.media, m.proto, m.fmt)).collect();
    let is_ours = |m: &&Media| {
        m.media.eq_ignore_ascii_case("audio")
            && ["RTP/AVP", "RTP/AVPF"].iter().any(|p| m.proto.eq_ignore_ascii_case(p))
    };
    let audio_index = session.medias.iter().position(|m| is_ours(&m));
    let audio = match audio_index.and_then(|at| session.medias.get(at)) {
        Some(media) => Some(read_audio(&session, media)?),
        None => None,
    };
    Some(Description { audio, streams, audio_index: audio_index.unwrap_or(0) })
}

fn read_audio(session: &Session, media: &Media) -> Option<Audio> {
    // RFC 8866 §5.7: the stream's own address overrides the session's.
    let connection = media.connections.first().or(session.connection.as_ref())?;
    let ip = ip_of(&connection.connection_address)?;
    let direction = Direction::find(&media.attributes)
        .or_else(|| Direction::find(&session.attributes))
        .unwrap_or(Direction::SendRecv);
    let rtcp = media.attributes.iter().find(|a| a.attribute.eq_ignore_ascii_case("rtcp"));
    let formats = media.fmt.split_ascii_whitespace().filter_map(|f| f.parse().ok());
    Some(Audio {
        address: SocketAddr::new(ip, media.port),
        rtcp: rtcp.and_then(|a| read_rtcp(a.value.as_deref()?, ip)),
        formats: formats.map(|pt| (pt, format_of(pt, &media.attributes))).collect(),
        direction,
    })
}

fn ip_of(address: &str) -> Option<IpAddr> {
    // Multicast addresses carry `/ttl`; the rest is the address.
    address.split('/').next()?.trim().parse().ok()
}

/// RFC 3605 §2.1: `53020` or `53020 IN IP4 192.0.2.1`.
fn read_rtcp(value: &str, ip: IpAddr) -> Option<SocketAddr> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    Some(SocketAddr::new(words.nth(2).and_then(ip_of).unwrap_or(ip), port))
}

fn format_of(payload_type: u8, attributes: &[Attribute]) -> Format {
    let mapped = attributes.iter().filter(|a| a.attribute.eq_ignore_ascii_case("rtpmap"));
    let name = mapped.filter_map(|a| a.value.as_deref()?.trim().split_once(char::is_whitespace));
    let name = name.filter(|(pt, _)| pt.parse() == Ok(payload_type)).map(|(_, name)| name).next();
    let named = |name: &str| {
        let mut parts = name.trim().split('/');
        let (encoding, clock, channels) = (parts.next()?, parts.next()?, parts.next());
        if clock != "8000" || !matches!(channels, None | Some("1")) {
            return None;
        }
        if encoding.eq_ignore_ascii_case(TELEPHONE_EVENT) {
            return Some(Format::TelephoneEvent);
        }
        let codecs = [Codec::Pcma, Codec::Pcmu];
        codecs.into_iter().find(|c| encoding.eq_ignore_ascii_case(c.name())).map(Format::Speech)
    };
    match (name, payload_type) {
        (Some(name), _) => named(name).unwrap_or(Format::Unknown),
        (None, 0) => Format::Speech(Codec::Pcmu),
        (None, 8) => Format::Speech(Codec::Pcma),
        (None, _) => Format::Unknown,
    }
}

/// Writes our stream, at `index` among `streams` that are refused otherwise.
pub(super) fn write(audio: &Audio, session_id: u64, index: usize, streams: &[String]) -> Vec<u8> {
    let ip = audio.address.ip();
    let mut session = Session::new(Origin::with_ip_addr(session_id, 1, ip), "-");
    session.connection = Some(Connection::from_ip_addr(ip));
    for at in 0..streams.len().max(1) {
        let media =
            if at == index { Some(ours(audio)) } else { streams.get(at).and_then(|s| refused(s)) };
        session.medias.extend(media);
    }
    let mut out = Vec::with_capacity(320);
    match session.write(&mut out) {
        Ok(()) => out,
        // Writing into memory has no way to fail.
        Err(_) => Vec::new(),
    }
}

fn ours(audio: &Audio) -> Media {
    let numbers: Vec<String> = audio.formats.iter().map(|(pt, _)| pt.to_string()).collect();
    let mut media = stream("audio", audio.address.port(), "RTP/AVP", &numbers.join(" "));
    for (pt, format) in &audio.formats {
        let name = match format {
            Format::Speech(codec) => codec.name(),
            Format::TelephoneEvent => TELEPHONE_EVENT,
            Format::Unknown => continue,
        };
        media.add_attribute_with_value("rtpmap", format!("{pt} {name}/8000"));
        if *format == Format::TelephoneEvent {
            // RFC 4733 §2.4.1: the sixteen keys.
            media.add_attribute_with_value("fmtp", format!("{pt} 0-15"));
        }
    }
    media.add_attribute_with_value("ptime", 20);
    media.add_attribute_from_str(audio.direction.attribute());
    media
}

fn refused(line: &str) -> Option<Media> {
    let mut words = line.splitn(4, ' ');
    let (kind, _, proto, formats) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some(stream(kind, 0, proto, formats))
}

fn stream(kind: &str, port: u16, proto: &str, formats: &str) -> Media {
    Media {
        media: kind.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt: formats.to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

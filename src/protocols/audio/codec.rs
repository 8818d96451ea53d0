//! The codecs a leg can speak.

/// G.711, which every carrier and every phone has (RFC 3551 §4.5.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// µ-law: North America and Japan; payload type 0.
    Pcmu,
    /// A-law: everywhere else; payload type 8.
    Pcma,
}

impl Codec {
    /// The number every RTP/AVP endpoint knows it by (RFC 3551 §6).
    pub const fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The codec of a static payload type.
    pub const fn from_static_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            _ => None,
        }
    }
}

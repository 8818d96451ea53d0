//! Offer and answer of one G.711 stream (RFC 3264): what we propose and what was agreed.

use std::net::SocketAddr;

use super::session::{Audio, Codec, Description, Direction, Format, read, write};

/// Our payload type for telephone events; 101 is what nearly every carrier uses.
const TELEPHONE_EVENT_TYPE: u8 = 101;

/// What two sides agreed on, from our view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaParams {
    /// Where our RTP goes.
    pub remote: SocketAddr,
    /// The law of speech in both directions.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// The payload type of RFC 4733 events, where the far side knows them.
    pub telephone_event: Option<u8>,
    /// What we may do: `SendOnly` means we send and hear nothing.
    pub direction: Direction,
    /// Where our RTCP goes, if the far side named a place; otherwise one port above `remote`.
    pub rtcp: Option<SocketAddr>,
}

/// Why there is no agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Not a session description, or its address is not one of numbers.
    #[error("not a session description")]
    Malformed,
    /// No audio over plain RTP, or it was refused with port 0.
    #[error("no audio stream")]
    NoAudio,
    /// Neither PCMA nor PCMU is among the formats.
    #[error("no codec in common")]
    NoCodec,
}

/// Our offer: PCMA, PCMU and telephone events, 20 ms packets, both directions.
pub fn offer(address: SocketAddr, session_id: u64) -> Vec<u8> {
    let formats = vec![
        (Codec::Pcma.static_payload_type(), Format::Speech(Codec::Pcma)),
        (Codec::Pcmu.static_payload_type(), Format::Speech(Codec::Pcmu)),
        (TELEPHONE_EVENT_TYPE, Format::TelephoneEvent),
    ];
    let audio = Audio { address, rtcp: None, formats, direction: Direction::SendRecv };
    write(&audio, session_id, 0, &[])
}

/// Reads the answer to [`offer`].
///
/// # Errors
/// [`SdpError`] says what is missing.
pub fn read_answer(bytes: &[u8]) -> Result<MediaParams, SdpError> {
    let description = read(bytes).ok_or(SdpError::Malformed)?;
    agree(&description.audio.ok_or(SdpError::NoAudio)?)
}

/// Answers an offer: the offerer's first codec that we know, every other stream refused.
///
/// # Errors
/// [`SdpError`] says what is missing; a UAS then answers 488.
pub fn answer(offer: &[u8], address: SocketAddr) -> Result<(Vec<u8>, MediaParams), SdpError> {
    let Description { audio, streams, audio_index } = read(offer).ok_or(SdpError::Malformed)?;
    let params = agree(&audio.ok_or(SdpError::NoAudio)?)?;
    let mut formats = vec![(params.payload_type, Format::Speech(params.codec))];
    formats.extend(params.telephone_event.map(|pt| (pt, Format::TelephoneEvent)));
    let ours = Audio { address, rtcp: None, formats, direction: params.direction };
    // The session id only has to differ from other sessions of this address (RFC 8866 §5.2).
    let session_id = xxhash_rust::xxh3::xxh3_64(offer) >> 1;
    Ok((write(&ours, session_id, audio_index, &streams), params))
}

fn agree(audio: &Audio) -> Result<MediaParams, SdpError> {
    if audio.address.port() == 0 {
        return Err(SdpError::NoAudio);
    }
    let speech = audio.formats.iter().find_map(|(pt, format)| match format {
        Format::Speech(codec) => Some((*pt, *codec)),
        Format::TelephoneEvent | Format::Unknown => None,
    });
    let (payload_type, codec) = speech.ok_or(SdpError::NoCodec)?;
    let event = audio.formats.iter().find(|(_, format)| *format == Format::TelephoneEvent);
    let mut direction = audio.direction.reversed();
    if audio.address.ip().is_unspecified() {
        // RFC 3264 §8.4: the old way to hold a call; nothing may be sent there.
        direction = match direction {
            Direction::SendRecv | Direction::RecvOnly => Direction::RecvOnly,
            Direction::SendOnly | Direction::Inactive => Direction::Inactive,
        };
    }
    Ok(MediaParams {
        remote: audio.address,
        codec,
        payload_type,
        telephone_event: event.map(|(pt, _)| *pt),
        direction,
        rtcp: audio.rtcp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn sdp(lines: &str) -> Vec<u8> {
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{lines}")
            .into_bytes()
    }

    #[test]
    fn our_offer_is_the_text_we_mean() {
        let text = String::from_utf8(offer(at("192.0.2.1:4000"), 7)).unwrap();
        assert_eq!(
            text,
            "v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
             m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        );
    }

    #[test]
    fn both_sides_of_an_offer_and_its_answer_agree() {
        let offered = offer(at("[2001:db8::1]:4000"), 7);
        let (answered, theirs) = answer(&offered, at("[2001:db8::2]:5000")).unwrap();
        let ours = read_answer(&answered).unwrap();
        assert_eq!(
            (ours.remote, theirs.remote),
            (at("[2001:db8::2]:5000"), at("[2001:db8::1]:4000"))
        );
        assert_eq!((ours.codec, ours.payload_type), (Codec::Pcma, 8));
        assert_eq!((ours.codec, ours.telephone_event), (theirs.codec, theirs.telephone_event));
    }

    #[test]
    fn the_first_known_codec_wins_also_under_a_dynamic_type() {
        let bytes = sdp(
            "m=audio 4000 RTP/AVP 18 97 0 96\r\na=rtpmap:97 pcma/8000/1\r\na=rtpmap:96 telephone-event/8000\r\n",
        );
        let params = read_answer(&bytes).unwrap();
        assert_eq!((params.codec, params.payload_type), (Codec::Pcma, 97));
        assert_eq!(params.telephone_event, Some(96));
    }

    #[test]
    fn a_static_type_that_is_mapped_elsewhere_is_not_g711() {
        let bytes = sdp("m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 opus/48000/2\r\n");
        assert_eq!(read_answer(&bytes), Err(SdpError::NoCodec));
    }

    #[test]
    fn the_streams_own_address_direction_and_rtcp_are_taken() {
        let bytes = sdp(
            "a=inactive\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 198.51.100.1/127\r\na=sendonly\r\na=rtcp:53020 IN IP4 198.51.100.2\r\n",
        );
        let params = read_answer(&bytes).unwrap();
        assert_eq!(params.remote, at("198.51.100.1:4000"));
        assert_eq!(params.rtcp, Some(at("198.51.100.2:53020")));
        assert_eq!(params.direction, Direction::RecvOnly);
    }

    #[test]
    fn the_old_hold_address_is_never_sent_to() {
        let bytes = b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        assert!(!read_answer(bytes).unwrap().direction.sends());
    }

    #[test]
    fn other_streams_of_an_offer_are_refused_in_their_places() {
        let bytes =
            sdp("m=video 6000 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/SAVP 0\r\n");
        let (text, _) = answer(&bytes, at("192.0.2.1:5000")).unwrap();
        let text = String::from_utf8(text).unwrap();
        let media: Vec<_> = text.lines().filter(|l| l.starts_with("m=")).collect();
        assert_eq!(
            media,
            ["m=video 0 RTP/AVP 31", "m=audio 5000 RTP/AVP 0", "m=audio 0 RTP/SAVP 0"]
        );
    }

    #[test]
    fn what_cannot_carry_speech_is_refused_with_its_reason() {
        assert_eq!(read_answer(b""), Err(SdpError::Malformed));
        assert_eq!(read_answer(&sdp("")), Err(SdpError::NoAudio));
        assert_eq!(read_answer(&sdp("m=audio 0 RTP/AVP 0\r\n")), Err(SdpError::NoAudio));
        assert_eq!(read_answer(&sdp("m=audio 9 RTP/AVP 18\r\n")), Err(SdpError::NoCodec));
        let named = b"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 media.example\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        assert_eq!(read_answer(named), Err(SdpError::Malformed));
    }

    proptest! {
        #[test]
        fn a_damaged_description_never_panics(at in 0usize..200, byte: u8, cut in 0usize..260) {
            let mut bytes = offer("192.0.2.1:4000".parse().unwrap(), 7);
            bytes[at] = byte;
            bytes.truncate(cut);
            drop(answer(&bytes, "192.0.2.2:5000".parse().unwrap()));
        }
    }
}

//! Telephone events, RFC 4733: which key was pressed, told once per press.
//!
//! A press is many packets with one timestamp, its end sent three times. The relay passes them on
//! with only the payload type rewritten; here they are only read.

/// The keys by event number, RFC 4733 §3.2.
const KEYS: &[u8; 16] = b"0123456789*#ABCD";
/// A segment as long as the duration field can say; what follows continues it (§2.5.1.3).
const SEGMENT_MAX: u16 = 0xffff;

/// The four bytes of an event's payload, §2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// What happened; 0 to 15 are keys.
    pub code: u8,
    /// The event is over.
    pub end: bool,
    /// Its level below 0 dBm0.
    pub volume: u8,
    /// How long it has lasted, in samples.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads a payload; bytes after the first event are a later packet's business.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let [code, flags, high, low] = *payload.first_chunk()?;
        Some(Self {
            code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload's bytes.
    pub const fn to_bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, (self.end as u8) << 7 | (self.volume & 0x3f), high, low]
    }

    /// The key pressed; none for flash, modem tones and the like.
    pub fn key(self) -> Option<char> {
        KEYS.get(usize::from(self.code)).map(|key| char::from(*key))
    }
}

/// Tells each press once, at its first packet that arrives.
#[derive(Debug, Default)]
pub struct KeyReader {
    /// The newest event's timestamp and number, and how long it lasted so far.
    last: Option<(u32, u8, u16)>,
}

impl KeyReader {
    /// A reader that has seen no key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event's payload with its packet's timestamp.
    pub fn handle(&mut self, timestamp: u32, payload: &[u8]) -> Option<char> {
        let event = TelephoneEvent::read(payload)?;
        let (same_press, newest) = match self.last {
            None => (false, true),
            Some((start, code, duration)) => {
                let ahead = timestamp.wrapping_sub(start);
                let segment = duration == SEGMENT_MAX
                    && ahead == u32::from(SEGMENT_MAX)
                    && code == event.code;
                (ahead == 0 || segment, ahead < 0x8000_0000)
            }
        };
        if newest {
            self.last = Some((timestamp, event.code, event.duration));
        }
        if same_press || !newest { None } else { event.key() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: u8, end: bool, duration: u16) -> [u8; 4] {
        TelephoneEvent { code, end, volume: 10, duration }.to_bytes()
    }

    #[test]
    fn a_press_is_told_once_though_its_end_comes_three_times() {
        let mut keys = KeyReader::new();
        let packets = [(false, 160), (false, 320), (true, 480), (true, 480), (true, 480)];
        let told = packets.map(|(end, duration)| keys.handle(1_000, &event(5, end, duration)));
        assert_eq!(told, [Some('5'), None, None, None, None]);
        assert_eq!(keys.handle(2_000, &event(5, false, 160)), Some('5'), "pressed again");
        assert_eq!(keys.handle(1_000, &event(5, true, 480)), None, "overtaken on the way");
    }

    #[test]
    fn a_press_is_told_when_only_its_end_arrives() {
        assert_eq!(KeyReader::new().handle(7, &event(11, true, 800)), Some('#'));
    }

    #[test]
    fn a_key_held_for_long_is_one_press_over_all_segments() {
        let mut keys = KeyReader::new();
        assert_eq!(keys.handle(0, &event(1, false, SEGMENT_MAX)), Some('1'));
        assert_eq!(keys.handle(0xffff, &event(1, false, 160)), None);
    }

    #[test]
    fn what_is_no_key_is_told_to_nobody() {
        let mut keys = KeyReader::new();
        assert_eq!(keys.handle(0, &event(16, true, 160)), None, "hook flash");
        assert_eq!(keys.handle(0, &[1, 2, 3]), None, "cut short");
    }

    #[test]
    fn bytes_and_fields_agree() {
        let bytes = [9, 0x8a, 0x03, 0x20];
        let event = TelephoneEvent { code: 9, end: true, volume: 10, duration: 800 };
        assert_eq!(TelephoneEvent::read(&bytes), Some(event));
        assert_eq!(event.to_bytes(), bytes);
    }
}

//! Header text as `String` without losing a byte of it.
//!
//! SIP text is UTF-8 (RFC 3261 §7), but real servers send Latin-1 in phrases and display names,
//! and what they send must go back unchanged in Via, To or Route. A byte that is not UTF-8 becomes
//! one private-use character, U+F780 to U+F7FF, and turns into that byte again on writing. Where a
//! message really contains such a character, its bytes are kept one by one in the same way.

/// U+F700 + byte, for bytes 0x80..=0xFF.
const ESCAPE_BASE: u32 = 0xF700;

fn escape(byte: u8) -> char {
    char::from_u32(ESCAPE_BASE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn escaped(letter: char) -> Option<u8> {
    let byte = u8::try_from(u32::from(letter).checked_sub(ESCAPE_BASE)?).ok()?;
    (byte >= 0x80).then_some(byte)
}

/// Text of bytes from the network.
pub(super) fn from_wire(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if escaped(letter).is_some() {
                text.extend(letter.encode_utf8(&mut [0; 4]).bytes().map(escape));
            } else {
                text.push(letter);
            }
        }
        text.extend(chunk.invalid().iter().map(|&byte| escape(byte)));
    }
    text
}

/// Bytes for the network: the reverse of [`from_wire`].
pub(super) fn to_wire(text: &str, out: &mut Vec<u8>) {
    for letter in text.chars() {
        match escaped(letter) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Text for a person: bytes that were not UTF-8 are read as Latin-1, which they nearly always are.
pub(super) fn readable(text: &str) -> String {
    text.chars().map(|letter| escaped(letter).map_or(letter, char::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn latin_1_reads_as_its_letters_and_goes_back_as_it_came() {
        let text = from_wire(b"Occup\xE9");
        assert_eq!(readable(&text), "Occup\u{e9}");
        let mut out = Vec::new();
        to_wire(&text, &mut out);
        assert_eq!(out, b"Occup\xE9");
    }

    proptest! {
        #[test]
        fn any_bytes_survive_reading_and_writing(bytes: Vec<u8>) {
            let mut out = Vec::new();
            to_wire(&from_wire(&bytes), &mut out);
            prop_assert_eq!(out, bytes);
        }

        #[test]
        fn text_with_private_use_letters_survives_too(text in "[\u{F6F0}-\u{F810}a-z]*") {
            let mut out = Vec::new();
            to_wire(&from_wire(text.as_bytes()), &mut out);
            prop_assert_eq!(out, text.as_bytes());
        }
    }
}

//! Server-sent events as a client reads them (WHATWG HTML §9.2).

use reqwest::Response;

/// The longest event read: a board with a hundred calls has 30 kB.
const EVENT_MAX: usize = 4 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SseEvent {
    pub(super) name: String,
    pub(super) data: String,
}

/// A stream of events.
pub(super) struct Events {
    response: Response,
    reader: Reader,
}

impl Events {
    pub(super) fn new(response: Response) -> Self {
        Self { response, reader: Reader::default() }
    }

    /// The next event; `None` at the stream's end, or where it is no such stream.
    ///
    /// Cancel-safe: a chunk is taken in as soon as it was read.
    pub(super) async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.reader.next() {
                return Some(event);
            }
            let chunk = self.response.chunk().await.ok()??;
            if !self.reader.take(&chunk) {
                return None;
            }
        }
    }
}

/// Cuts bytes into events.
#[derive(Debug, Default)]
struct Reader {
    bytes: Vec<u8>,
    name: String,
    data: Vec<String>,
}

impl Reader {
    /// False where an event would be longer than [`EVENT_MAX`].
    fn take(&mut self, chunk: &[u8]) -> bool {
        self.bytes.extend_from_slice(chunk);
        self.bytes.len() <= EVENT_MAX
    }

    fn next(&mut self) -> Option<SseEvent> {
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                let name = std::mem::take(&mut self.name);
                let data = std::mem::take(&mut self.data);
                if data.is_empty() {
                    continue;
                }
                return Some(SseEvent { name, data: data.join("\n") });
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.name),
                "data" => self.data.push(value.to_owned()),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let text =
            ": hello\nid: 1\nevent: agent\ndata: {\"a\":\ndata: 1}\n\nevent: ping\ndata:{}\r\n\r\n";
        for size in [1, 3, 7, 100] {
            let mut reader = Reader::default();
            let mut events = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                assert!(reader.take(chunk));
                events.extend(std::iter::from_fn(|| reader.next()));
            }
            let event = |name: &str, data: &str| SseEvent { name: name.into(), data: data.into() };
            assert_eq!(events, [event("agent", "{\"a\":\n1}"), event("ping", "{}")], "{size}");
        }
    }
}

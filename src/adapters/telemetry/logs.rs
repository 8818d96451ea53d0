//! Logs: text for a person or JSON for a collector, on standard error, at the level of the config.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is neither a level nor a list of `target=level`.
    #[error("the log level {0:?} is not understood: try error, warn, info, debug or trace")]
    Level(String),
    /// Something else writes the log already.
    #[error("the log was set up twice")]
    Twice,
}

/// Sets the log up for the whole process. `level` is a level (`info`) or a list of `target=level`
/// (`info,campanile::adapters::store=debug`). Standard output is left to the command's answer.
pub fn init(format: LogFormat, level: &str) -> Result<(), LogError> {
    let subscriber = subscriber(format, level, std::io::stderr, std::io::stderr().is_terminal())?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)
}

/// The subscriber that [`init`] installs, over any writer.
fn subscriber<W>(
    format: LogFormat,
    level: &str,
    writer: W,
    colours: bool,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).map_err(|_| LogError::Level(level.to_owned()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: LogFormat, level: &str) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber(format, level, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("attempt", attempt.id = 7);
            let _inside = span.enter();
            tracing::info!(sip.status = 486, "callee busy");
            tracing::debug!("a step");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_holds_the_message_its_fields_and_those_of_its_attempt() {
        let text = lines(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "callee busy");
        assert_eq!(line["sip.status"], 486);
        assert_eq!(line["span"]["attempt.id"], 7);
    }

    #[test]
    fn a_text_line_is_written_at_its_level_only() {
        assert!(lines(LogFormat::Text, "info").contains("callee busy"));
        assert!(!lines(LogFormat::Text, "info").contains("a step"));
        assert!(lines(LogFormat::Text, "debug").contains("a step"));
        assert_eq!(lines(LogFormat::Text, "error"), "");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        let wrong = subscriber(LogFormat::Text, "loud=very", std::io::stderr, false);
        assert!(matches!(wrong, Err(LogError::Level(level)) if level == "loud=very"));
    }
}

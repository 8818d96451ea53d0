//! The run log on disk: every input of the engine with the digest of what it caused.
//!
//! A segment is a file: 8 bytes magic, format number (u16, little endian), then entries, each
//! `length u32 · crc32 u32 · MessagePack`. The first entry is a snapshot of the engine. Written by a
//! thread of its own; if that falls behind, entries are dropped and a new segment with a snapshot
//! begins as soon as there is room: the driver never waits. Never read for recovery.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use serde::Serialize;

use crate::adapters::telemetry::metrics;
use crate::domain::time::{Duration, Mono, Now, Utc};
use crate::engine::Engine;
use crate::engine::input::Input;
use crate::engine::output::Output;
use crate::engine::trace::{Entry, FORMAT, digest};

const MAGIC: &[u8; 8] = b"CAMPRUN\n";
/// Entries that wait for the disk, at most: two seconds of a busy node.
const QUEUE_MAX: usize = 16_384;
/// An entry longer than this is no entry: a snapshot of a thousand calls is below 1 MiB.
const ENTRY_MAX: u32 = 64 << 20;
/// After a gap a new segment is tried this often.
const BEGIN_AGAIN: Duration = Duration::from_millis(500);
/// What was written is handed to the operating system this often.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
const EXTENSION: &str = "runlog";

/// Where the log goes and how much is kept.
#[derive(Debug, Clone)]
pub struct RunLogConfig {
    /// Folder.
    pub dir: PathBuf,
    /// A segment ends at this size.
    pub segment_bytes: u64,
    /// The oldest segments are deleted beyond this sum,
    pub total_bytes: u64,
    /// and when they are older than this.
    pub keep: Duration,
}

enum Block {
    /// A new file, named after the wall time of its first input.
    Segment(Utc, Vec<u8>),
    Entry(Vec<u8>),
}

/// The driver's end of the log.
pub struct RunLog {
    blocks: SyncSender<Block>,
    written: u64,
    segment_bytes: u64,
    needs_segment: bool,
    /// No new segment is tried before: a snapshot costs far more than a step.
    begin_at: Mono,
    dropped: u64,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// An input on its way into the log; its digest is still to come.
#[derive(Serialize)]
struct StepRef<'a> {
    now: Now,
    input: &'a Input,
    digest: u64,
}

#[derive(Serialize)]
enum EntryRef<'a> {
    Snapshot(&'a Engine),
    Step(StepRef<'a>),
}

impl RunLog {
    /// Opens the log.
    pub fn open(config: RunLogConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.dir)?;
        let (blocks, queue) = sync_channel(QUEUE_MAX);
        let segment_bytes = config.segment_bytes;
        let thread = std::thread::Builder::new().name("run-log".into()).spawn(move || {
            write_blocks(&config, &queue).inspect_err(|error| {
                tracing::error!(%error, "the run log cannot be written: it ends here");
            })
        })?;
        Ok(Self {
            blocks,
            written: 0,
            segment_bytes,
            needs_segment: true,
            begin_at: Mono::ZERO,
            dropped: 0,
            thread: Some(thread),
        })
    }

    /// Runs one input through the engine and logs it. The only caller of [`Engine::handle`] in the
    /// daemon.
    pub fn step(&mut self, engine: &mut Engine, now: Now, input: Input) -> Vec<Output> {
        let may_begin = self.needs_segment && now.mono >= self.begin_at;
        if may_begin || self.written > self.segment_bytes {
            let snapshot = encode(&EntryRef::Snapshot(engine));
            self.written = snapshot.len() as u64;
            self.needs_segment = self.blocks.try_send(Block::Segment(now.utc, snapshot)).is_err();
            self.begin_at = now.mono + BEGIN_AGAIN;
        }
        let logged = input.clone();
        let outputs = engine.handle(now, input);
        if self.needs_segment {
            self.dropped += 1;
            metrics::run_log(0, 1);
            return outputs;
        }
        let step = StepRef { now, input: &logged, digest: digest(&outputs) };
        let entry = encode(&EntryRef::Step(step));
        let bytes = entry.len() as u64;
        self.written += bytes;
        match self.blocks.try_send(Block::Entry(entry)) {
            Ok(()) => metrics::run_log(bytes, 0),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.needs_segment = true;
                self.dropped += 1;
                metrics::run_log(0, 1);
            }
        }
        outputs
    }

    /// Steps that could not be logged because the disk was too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Ends the log and waits until all of it is handed to the operating system.
    pub fn close(mut self) -> io::Result<()> {
        let thread = self.thread.take();
        drop(self);
        thread.map_or(Ok(()), |thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the run log's thread died")))
        })
    }
}

/// `length · crc32 · MessagePack`
fn encode(entry: &EntryRef<'_>) -> Vec<u8> {
    let body = rmp_serde::to_vec(entry).unwrap_or_default();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut block = Vec::with_capacity(body.len() + 8);
    block.extend(length.to_le_bytes());
    block.extend(crc32fast::hash(&body).to_le_bytes());
    block.extend(body);
    block
}

fn write_blocks(config: &RunLogConfig, queue: &Receiver<Block>) -> io::Result<()> {
    let mut file: Option<BufWriter<File>> = None;
    loop {
        match queue.recv_timeout(FLUSH_EVERY) {
            Ok(Block::Segment(begins, snapshot)) => {
                if let Some(mut full) = file.take() {
                    full.flush()?;
                }
                prune(config, begins)?;
                let mut next = BufWriter::new(create_segment(&config.dir, begins)?);
                next.write_all(MAGIC)?;
                next.write_all(&FORMAT.to_le_bytes())?;
                next.write_all(&snapshot)?;
                file = Some(next);
            }
            Ok(Block::Entry(entry)) => {
                if let Some(file) = &mut file {
                    file.write_all(&entry)?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(file) = &mut file {
                    file.flush()?;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    file.map_or(Ok(()), |mut file| file.flush())
}

/// A new file named after its beginning. A clock that went back may stand on an old name: the next
/// free one is taken, nothing is overwritten.
fn create_segment(dir: &Path, begins: Utc) -> io::Result<File> {
    let mut ms = begins.as_ms();
    loop {
        match File::create_new(dir.join(format!("{ms:014}.{EXTENSION}"))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => ms += 1,
            made => return made,
        }
    }
}

/// Deletes what is too old, and the oldest segments until the rest fits.
fn prune(config: &RunLogConfig, now: Utc) -> io::Result<()> {
    let keep_ms = i64::try_from(config.keep.as_millis()).unwrap_or(i64::MAX);
    let mut segments = Vec::new();
    for path in segments_in(&config.dir)? {
        segments.push((fs::metadata(&path)?.len(), path));
    }
    let mut total: u64 = segments.iter().map(|(bytes, _)| bytes).sum();
    for (bytes, path) in segments {
        let begins = path.file_stem().and_then(|name| name.to_str()?.parse::<i64>().ok());
        let too_old = begins.is_some_and(|ms| now.as_ms().saturating_sub(ms) > keep_ms);
        if total <= config.total_bytes && !too_old {
            break;
        }
        fs::remove_file(path)?;
        total -= bytes;
    }
    Ok(())
}

/// The segments of a folder, oldest first.
pub fn segments_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut segments: Vec<PathBuf> = fs::read_dir(dir)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|e| e == EXTENSION))
        .collect();
    segments.sort();
    Ok(segments)
}

/// Why a segment could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum RunLogError {
    /// The file could not be read.
    #[error("cannot read the run log: {0}")]
    Io(#[from] io::Error),
    /// Not a run log.
    #[error("not a run log: it does not begin with its mark")]
    NotARunLog,
    /// Written by a newer or older program.
    #[error("run log of format {0}; this program reads format {FORMAT}")]
    Format(u16),
    /// An entry does not fit its checksum.
    #[error("entry at byte {0} does not fit its checksum: the file is damaged there")]
    Damaged(u64),
    /// An entry's content makes no sense.
    #[error("entry at byte {0} cannot be read: {1}")]
    Unreadable(u64, rmp_serde::decode::Error),
}

/// Reads the entries of one segment.
pub struct SegmentReader {
    file: BufReader<File>,
    at: u64,
}

impl SegmentReader {
    /// Opens a segment and checks its mark and format.
    pub fn open(path: &Path) -> Result<Self, RunLogError> {
        let mut file = BufReader::new(File::open(path)?);
        let mut mark = [0; 8];
        let mut format = [0; 2];
        let begins = file.read_exact(&mut mark).and_then(|()| file.read_exact(&mut format));
        if begins.is_err() || &mark != MAGIC {
            return Err(RunLogError::NotARunLog);
        }
        match u16::from_le_bytes(format) {
            FORMAT => Ok(Self { file, at: 10 }),
            other => Err(RunLogError::Format(other)),
        }
    }

    /// The next entry; `None` at the end, also where a crash cut the last one short.
    pub fn read(&mut self) -> Result<Option<Entry>, RunLogError> {
        let mut head = [0; 8];
        if !read_whole(&mut self.file, &mut head)? {
            return Ok(None);
        }
        let (length, checksum) = head.split_at(4);
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default());
        let checksum = u32::from_le_bytes(checksum.try_into().unwrap_or_default());
        if length > ENTRY_MAX {
            return Err(RunLogError::Damaged(self.at));
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
        if !read_whole(&mut self.file, &mut body)? {
            return Ok(None);
        }
        if crc32fast::hash(&body) != checksum {
            return Err(RunLogError::Damaged(self.at));
        }
        let entry = rmp_serde::from_slice(&body)
            .map_err(|error| RunLogError::Unreadable(self.at, error))?;
        self.at += u64::from(length) + 8;
        Ok(Some(entry))
    }
}

/// Whether `buffer` could be filled; a file that ends inside it ends the log.
fn read_whole(file: &mut impl Read, buffer: &mut [u8]) -> Result<bool, RunLogError> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Mono;
    use crate::engine::trace::Replay;

    fn config(dir: &Path) -> RunLogConfig {
        let keep = Duration::from_secs(86_400);
        RunLogConfig { dir: dir.to_owned(), segment_bytes: 2_000, total_bytes: 1 << 30, keep }
    }

    fn now(ms: u64) -> Now {
        let utc = Utc::from_ms(1_795_521_600_000 + i64::try_from(ms).unwrap());
        Now { mono: Mono::from_micros(ms * 1_000), utc }
    }

    #[test]
    fn what_was_written_replays_over_several_segments_and_a_torn_tail_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RunLog::open(config(dir.path())).unwrap();
        let mut engine = Engine::new(1);
        for n in 0..200 {
            log.step(&mut engine, now(n * 500), Input::Tick);
        }
        assert_eq!(log.dropped(), 0);
        log.close().unwrap();
        let segments = segments_in(dir.path()).unwrap();
        assert!(segments.len() > 2, "{}", segments.len());
        let last = segments.last().unwrap();
        let bytes = fs::read(last).unwrap();
        fs::write(last, &bytes[..bytes.len() - 3]).unwrap();
        let mut replay = Replay::default();
        for path in &segments {
            let mut reader = SegmentReader::open(path).unwrap();
            while let Some(entry) = reader.read().unwrap() {
                replay.step(entry).unwrap();
            }
        }
        assert_eq!(replay.steps(), 199);
    }

    #[test]
    fn segments_go_when_they_are_too_old_or_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let write = |config: RunLogConfig, from: u64| {
            let mut log = RunLog::open(config).unwrap();
            let mut engine = Engine::new(1);
            for n in 0..100 {
                log.step(&mut engine, now(from + n * 500), Input::Tick);
            }
            log.close().unwrap();
            segments_in(dir.path()).unwrap().len()
        };
        let all = write(config(dir.path()), 0);
        assert!(all > 2, "{all}");
        let two_days = 2 * 86_400_000;
        assert_eq!(write(config(dir.path()), two_days), all, "the old ones are gone");
        let few = RunLogConfig { total_bytes: 1_000, ..config(dir.path()) };
        assert_eq!(write(few, two_days + 100_000), 1, "only the newest fits");
    }

    #[test]
    fn a_flipped_bit_is_damage_and_another_file_is_no_run_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RunLog::open(config(dir.path())).unwrap();
        log.step(&mut Engine::new(1), now(0), Input::Tick);
        log.close().unwrap();
        let path = segments_in(dir.path()).unwrap().remove(0);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let mut reader = SegmentReader::open(&path).unwrap();
        assert!(reader.read().unwrap().is_some());
        assert!(matches!(reader.read(), Err(RunLogError::Damaged(_))));
        fs::write(&path, "something else entirely").unwrap();
        assert!(matches!(SegmentReader::open(&path), Err(RunLogError::NotARunLog)));
    }
}

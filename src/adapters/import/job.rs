//! One import from its first row to its commit: the list is seen whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::adapters::store::lists::NewContact;
use crate::adapters::store::{Db, StoreError};
use crate::domain::ids::ListId;
use crate::domain::time::Utc;

use super::csv::{CsvError, CsvRows};
use super::rejects::Rejects;
use super::row::{Fault, Reading};

/// Contacts that go to the store together.
const CHUNK: usize = 1_000;
/// Chunks read ahead while the store writes.
const CHUNKS_AHEAD: usize = 2;

/// Reads the wall clock; the app gives its own.
pub type Clock = Arc<dyn Fn() -> Utc + Send + Sync>;

/// What an import came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The list.
    pub list: ListId,
    /// Rows of the source.
    pub rows: u64,
    /// Contacts of the list.
    pub accepted: u64,
    /// Rows whose number the list had already.
    pub duplicates: u64,
    /// Rows that are no contact; they stand in the reject file.
    pub rejected: u64,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows or records done.
    pub rows: u64,
    /// Bytes of the file done.
    pub bytes: u64,
    /// Records in all, where the source says.
    pub total: Option<u64>,
}

/// What is common to all imports.
#[derive(Clone)]
pub struct Import {
    /// The database.
    pub db: Db,
    /// The list's name.
    pub name: String,
    /// Where it comes from, for people: a file's name, a CRM's address.
    pub source: String,
    /// How it is read.
    pub reading: Reading,
    /// Where reject files are kept.
    pub rejects_dir: PathBuf,
    /// The wall clock.
    pub clock: Clock,
}

/// Why an import ended in vain. There is no list then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// The database.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// The reject file.
    #[error("cannot write the reject file: {0}")]
    Rejects(#[source] std::io::Error),
    /// The reader ended without a word.
    #[error("reading was interrupted")]
    Interrupted,
}

/// Imports a CSV file. If the future is dropped, the list is dropped too.
pub async fn import_csv(
    import: Import,
    file: &Path,
    progress: impl Fn(Progress),
) -> Result<Report, ImportError> {
    let (sender, mut chunks) = mpsc::channel(CHUNKS_AHEAD);
    let source = File::open(file).map_err(CsvError::Io)?;
    let reading = import.reading.clone();
    let mut loading = Loading::begin(import).await?;
    let reader = tokio::task::spawn_blocking(move || read_file(source, &reading, &sender));
    let mut fed = Ok(());
    while let Some(chunk) = chunks.recv().await {
        fed = loading.add(chunk).await;
        if fed.is_err() {
            break;
        }
        progress(loading.progress);
    }
    // The reader stops at its next chunk when nobody takes them any more.
    drop(chunks);
    let read = reader.await.map_err(|_| ImportError::Interrupted).and_then(|read| Ok(read?));
    loading.end(fed.and(read)).await
}

fn read_file(
    source: File,
    reading: &Reading,
    chunks: &mpsc::Sender<Chunk>,
) -> Result<(), CsvError> {
    let mut rows = CsvRows::open(source, reading)?;
    let mut chunk = Chunk::default();
    while let Some(row) = rows.next_row()? {
        chunk.push(row.line, row.contact);
        if chunk.rows() >= CHUNK {
            chunk.bytes = rows.bytes();
            if chunks.blocking_send(std::mem::take(&mut chunk)).is_err() {
                return Ok(());
            }
        }
    }
    chunk.bytes = rows.bytes();
    // An error here means that the import was ended meanwhile.
    chunks.blocking_send(chunk).ok();
    Ok(())
}

/// Rows on their way to the store.
#[derive(Debug, Default)]
pub struct Chunk {
    contacts: Vec<NewContact>,
    faults: Vec<(u64, Fault)>,
    /// Bytes of the source read when it was full.
    pub bytes: u64,
    /// Records of the source in all, where it says.
    pub total: Option<u64>,
}

impl Chunk {
    /// An empty one of a source that has `total` records.
    pub fn of(total: Option<u64>) -> Self {
        Self { total, ..Self::default() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: u64, contact: Result<NewContact, Fault>) {
        match contact {
            Ok(contact) => self.contacts.push(contact),
            Err(fault) => self.faults.push((row, fault)),
        }
    }

    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.contacts.len() + self.faults.len()
    }
}

/// A list being loaded. Dropped before its end, it takes the list away.
pub struct Loading {
    import: Import,
    list: ListId,
    report: Report,
    rejects: Option<Rejects>,
    ended: bool,
    /// How far it is.
    pub progress: Progress,
}

impl Loading {
    /// Makes the list, unseen.
    pub async fn begin(import: Import) -> Result<Self, ImportError> {
        let at = (import.clock)();
        let list = import.db.begin_list(&import.name, &import.source, at).await?;
        let rejects = Some(Rejects::new(&import.rejects_dir, list));
        let report = Report { list, rows: 0, accepted: 0, duplicates: 0, rejected: 0 };
        Ok(Self { import, list, report, rejects, ended: false, progress: Progress::default() })
    }

    /// Writes a chunk.
    pub async fn add(&mut self, chunk: Chunk) -> Result<(), ImportError> {
        let at = (self.import.clock)();
        let added = self.import.db.add_contacts(self.list, &chunk.contacts, at).await?;
        self.report.rows += chunk.rows() as u64;
        self.report.accepted += added.accepted;
        self.report.duplicates += added.duplicates;
        if let Some(rejects) = &mut self.rejects {
            for (row, fault) in &chunk.faults {
                rejects.add(*row, fault).map_err(ImportError::Rejects)?;
            }
            self.report.rejected = rejects.count();
        }
        self.progress = Progress {
            rows: self.report.rows,
            bytes: chunk.bytes,
            total: chunk.total.or(self.progress.total),
        };
        Ok(())
    }

    /// Commits the list, or drops it if something failed.
    pub async fn end<E: From<ImportError>>(mut self, result: Result<(), E>) -> Result<Report, E> {
        let committed = match result {
            Ok(()) => self.commit().await.map_err(E::from),
            Err(error) => Err(error),
        };
        self.ended = true;
        if let Err(error) = committed {
            if let Some(rejects) = self.rejects.take() {
                rejects.discard();
            }
            if let Err(why) = self.import.db.drop_list(self.list).await {
                tracing::warn!(list.id = %self.list, error = %why, "a failed import's rows stay until the next start");
            }
            return Err(error);
        }
        tracing::info!(
            list.id = %self.list, rows = self.report.rows, accepted = self.report.accepted,
            duplicates = self.report.duplicates, rejected = self.report.rejected, "list imported"
        );
        Ok(self.report)
    }

    async fn commit(&mut self) -> Result<(), ImportError> {
        if let Some(rejects) = &mut self.rejects {
            rejects.finish().map_err(ImportError::Rejects)?;
        }
        let at = (self.import.clock)();
        Ok(self.import.db.commit_list(self.list, at).await?)
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Some(rejects) = self.rejects.take() {
            rejects.discard();
        }
        let (db, list) = (self.import.db.clone(), self.list);
        // Without a runtime the program is ending; the store drops the list at the next start.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { db.drop_list(list).await });
        }
    }
}

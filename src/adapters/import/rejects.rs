//! The reject file of an import: each row that became no contact, with its reason.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use crate::domain::ids::ListId;

use super::row::Fault;

/// Where the rejects of a list are.
pub fn rejects_file(folder: &Path, list: ListId) -> PathBuf {
    folder.join(format!("list-{list}.csv"))
}

/// A reject file being written; made with the first reject.
pub struct Rejects {
    path: PathBuf,
    file: Option<csv::Writer<BufWriter<File>>>,
    count: u64,
}

impl Rejects {
    /// Nothing is written yet.
    pub fn new(folder: &Path, list: ListId) -> Self {
        Self { path: rejects_file(folder, list), file: None, count: 0 }
    }

    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Adds one.
    pub fn add(&mut self, row: u64, fault: &Fault) -> std::io::Result<()> {
        if self.file.is_none() {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut file = csv::Writer::from_writer(BufWriter::new(private(&self.path)?));
            file.write_record(["row", "column", "reason", "value"])?;
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_record([&row.to_string(), &fault.column, &fault.reason, &fault.raw])?;
            self.count += 1;
        }
        Ok(())
    }

    /// Writes out what is left.
    pub fn finish(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), csv::Writer::flush)
    }

    /// Takes the file away again, with the list it belonged to.
    pub fn discard(self) {
        drop(self.file);
        // If it cannot be deleted it is overwritten by nobody: ids of lists are not used twice.
        std::fs::remove_file(&self.path).ok();
    }
}

/// Rejects hold names and numbers: nobody else on the machine reads them.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

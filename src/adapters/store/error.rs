//! Why the store could not do what it was asked.

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address names no database that we know.
    #[error("not a database address (sqlite:PATH or postgres://…): {0}")]
    Address(String),
    /// The database refused or is away.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema is not ours, or newer than this program.
    #[error("bringing the database up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this program never writes.
    #[error("the database holds an unreadable {what}: {why}")]
    Corrupt {
        /// Which column or value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing has this id.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The list is not committed, or was dropped.
    #[error("list {0} is not ready to be used")]
    ListNotReady(i64),
    /// The name is taken.
    #[error("the name is taken")]
    NameTaken,
}

impl StoreError {
    /// Another transaction was in the way; the same one may pass when it is tried again.
    pub fn is_conflict(&self) -> bool {
        // PostgreSQL: serialization_failure, deadlock_detected. SQLite: BUSY and LOCKED with their
        // extended codes.
        matches!(
            self.code().as_deref(),
            Some("40001" | "40P01" | "5" | "6" | "261" | "262" | "517" | "773")
        )
    }

    /// What was to be written is itself at fault: trying again cannot help.
    pub fn is_own_fault(&self) -> bool {
        let Self::Sql(error) = self else { return matches!(self, Self::Corrupt { .. }) };
        if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
            return true;
        }
        // PostgreSQL classes 22 (data exception) and 23 (constraint); SQLite constraint (19),
        // mismatch (20), too big (18).
        let Some(code) = self.code() else { return false };
        let is_postgres = code.len() == 5 && (code.starts_with("22") || code.starts_with("23"));
        let is_sqlite =
            code.parse::<u32>().is_ok_and(|code| code < 20_000 && matches!(code & 0xff, 18..=20));
        is_postgres || is_sqlite
    }

    fn code(&self) -> Option<String> {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => {
                error.code().map(std::borrow::Cow::into_owned)
            }
            _ => None,
        }
    }
}

/// A shorthand for a column that cannot be read back.
pub(crate) fn corrupt(what: &'static str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what, why: why.to_string() }
}

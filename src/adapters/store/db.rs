//! Opening a database, bringing its schema up to date, and one transaction type for both kinds.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use super::error::StoreError;

/// Connections that read at once. Pages and exports need a few; the hot path needs one.
const READERS: u32 = 4;
/// SQLite's page caches in KiB (negative by its convention): the writer touches the trees of every
/// table, a reader a few pages of one.
const WRITER_CACHE: &str = "-65536";
const READER_CACHE: &str = "-16384";
/// Connections to a server. The writer needs one, the rest serve pages, imports and the outbox.
const SERVER_CONNECTIONS: u32 = 12;
/// A statement that cannot have a connection within this time fails: the dialer must learn that its
/// database is away well before the two seconds an intent may take.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Other processes on the same SQLite file (the command line) hold its lock this long at most.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// One database of either kind. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// Embedded: one process, one writer.
    Sqlite(SqlitePools),
    /// A server that several nodes may share.
    Postgres(PgPool),
}

/// SQLite has one writer; readers never wait for it (WAL).
#[derive(Clone, Debug)]
pub struct SqlitePools {
    pub(crate) writer: SqlitePool,
    pub(crate) reader: SqlitePool,
}

/// A write transaction. Dropped without [`Tx::commit`] it is rolled back.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Expands the body once per driver, so both drivers type-check the same SQL text. Reads only.
macro_rules! on_db {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db {
            $crate::adapters::store::db::Db::Sqlite(pools) => {
                let $pool = &pools.reader;
                $body
            }
            $crate::adapters::store::db::Db::Postgres($pool) => $body,
        }
    };
}

/// The same for the connection of a [`Tx`].
macro_rules! on_tx {
    ($tx:expr, $conn:ident => $body:expr) => {
        match $tx {
            $crate::adapters::store::db::Tx::Sqlite(tx) => {
                let $conn = &mut **tx;
                $body
            }
            $crate::adapters::store::db::Tx::Postgres(tx) => {
                let $conn = &mut **tx;
                $body
            }
        }
    };
}

impl Db {
    /// Opens `sqlite:PATH` (or `sqlite://PATH`) or `postgres://…`, and brings the schema up to this
    /// program's version. `?schema=NAME` on a PostgreSQL address works in a schema of that name,
    /// made if absent: a tenant of its own.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let db = if let Some(path) = url.strip_prefix("sqlite:") {
            Self::open_sqlite(path.strip_prefix("//").unwrap_or(path)).await?
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url).await?
        } else {
            return Err(StoreError::Address(without_secrets(url)));
        };
        db.migrate().await?;
        Ok(db)
    }

    async fn open_sqlite(path: &str) -> Result<Self, StoreError> {
        if path.is_empty() || path.starts_with(':') {
            return Err(StoreError::Address(format!("sqlite:{path}")));
        }
        let options = SqliteConnectOptions::new()
            .filename(Path::new(path))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a commit is on the disk before it returns, which the one rule stands on.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // Checkpoints copy pages back; fewer of them keep commits even.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("cache_size", WRITER_CACHE)
            .statement_cache_capacity(256);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(30))
            .connect_with(options.clone())
            .await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.pragma("query_only", "ON").pragma("cache_size", READER_CACHE))
            .await?;
        Ok(Self::Sqlite(SqlitePools { writer, reader }))
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let (url, schema) = take_schema(url);
        let mut options = PgConnectOptions::from_str(&url)?
            .application_name("campanile")
            .statement_cache_capacity(256);
        if let Some(schema) = schema {
            let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if schema.is_empty() || !schema.chars().all(known) {
                return Err(StoreError::Address(format!("schema={schema}")));
            }
            let pool =
                PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
            // Quoted and of plain signs only, checked above.
            let sql = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"");
            sqlx::query(AssertSqlSafe(sql)).execute(&pool).await?;
            pool.close().await;
            options = options.options([("search_path", schema.as_str())]);
        }
        let pool = PgPoolOptions::new()
            .max_connections(SERVER_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self::Postgres(pool))
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(pools) => sqlx::migrate!("./migrations/sqlite").run(&pools.writer).await?,
            Self::Postgres(pool) => sqlx::migrate!("./migrations/postgres").run(pool).await?,
        }
        Ok(())
    }

    /// A write transaction. On SQLite it waits for the one writer and takes the lock at once.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite(pools) => Tx::Sqlite(pools.writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Closes all connections; what was committed stays.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pools) => {
                pools.reader.close().await;
                pools.writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        on_db!(self, pool => { sqlx::query("SELECT 1").execute(pool).await?; });
        Ok(())
    }
}

impl Tx {
    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// One of two texts, where the databases differ.
    pub(crate) const fn dialect(
        &self,
        sqlite: &'static str,
        postgres: &'static str,
    ) -> &'static str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }
}

/// Cuts `schema=NAME` out of an address's query.
fn take_schema(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut schema = None;
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| match pair.strip_prefix("schema=") {
            Some(name) => {
                schema = Some(name.to_owned());
                false
            }
            None => !pair.is_empty(),
        })
        .collect();
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    (url, schema)
}

/// The address up to its secrets, for an error text.
fn without_secrets(url: &str) -> String {
    url.split_once("://").map_or("(no scheme)", |(scheme, _)| scheme).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_cut_out_of_the_address_and_the_rest_is_kept() {
        let (url, schema) = take_schema("postgres://h/db?schema=a&sslmode=disable");
        assert_eq!(url, "postgres://h/db?sslmode=disable");
        assert_eq!(schema.as_deref(), Some("a"));
        assert_eq!(take_schema("postgres://h/db?schema=b").0, "postgres://h/db");
    }

    #[test]
    fn an_unknown_address_is_named_without_its_password() {
        assert_eq!(without_secrets("mysql://user:secret@host/db"), "mysql");
    }
}

//! Append-only settings: what campaigns, trunks and agents have in common, written once.

/// Settings as they stand in the database, with their version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<Id, Settings> {
    /// Whose settings.
    pub id: Id,
    /// The newest version, from 1.
    pub version: u32,
    /// What a manager set.
    pub settings: Settings,
}

/// Reads and writes of one noun with versions; the table names are literals, so every statement is
/// a constant.
macro_rules! versioned_settings {
    ($noun:literal, $Id:ident, $Settings:ty, $get:ident, $all:ident, $at_version:ident, $set:ident) => {
        impl $crate::adapters::store::Db {
            /// The newest settings of one.
            pub async fn $get(
                &self,
                id: $Id,
            ) -> Result<Option<Versioned<$Id, $Settings>>, StoreError> {
                const SQL: &str = concat!(
                    "SELECT h.id, h.version, v.settings FROM ", $noun, " h JOIN ", $noun,
                    "_version v ON v.", $noun, " = h.id AND v.version = h.version WHERE h.id = $1"
                );
                let row: Option<(i64, i64, String)> = on_db!(self, pool => {
                    sqlx::query_as(SQL).bind(id.get()).fetch_optional(pool).await?
                });
                row.map(of_row).transpose()
            }

            /// The newest settings of all, by id.
            pub async fn $all(&self) -> Result<Vec<Versioned<$Id, $Settings>>, StoreError> {
                const SQL: &str = concat!(
                    "SELECT h.id, h.version, v.settings FROM ", $noun, " h JOIN ", $noun,
                    "_version v ON v.", $noun, " = h.id AND v.version = h.version ORDER BY h.id"
                );
                let rows: Vec<(i64, i64, String)> = on_db!(self, pool => {
                    sqlx::query_as(SQL).fetch_all(pool).await?
                });
                rows.into_iter().map(of_row).collect()
            }

            /// The settings as they were at a version, for ever.
            pub async fn $at_version(
                &self,
                id: $Id,
                version: u32,
            ) -> Result<Option<$Settings>, StoreError> {
                const SQL: &str = concat!(
                    "SELECT settings FROM ", $noun, "_version WHERE ", $noun,
                    " = $1 AND version = $2"
                );
                let row: Option<(String,)> = on_db!(self, pool => {
                    sqlx::query_as(SQL).bind(id.get()).bind(i64::from(version))
                        .fetch_optional(pool).await?
                });
                row.map(|(text,)| from_json(concat!($noun, " settings"), &text)).transpose()
            }

            /// Appends a version and returns its number; an audit row goes with it.
            pub async fn $set(
                &self,
                id: $Id,
                settings: &$Settings,
                by: &str,
                at: Utc,
            ) -> Result<u32, StoreError> {
                const NEXT: &str = concat!(
                    "UPDATE ", $noun, " SET version = version + 1 WHERE id = $1 RETURNING version"
                );
                let mut tx = self.begin().await?;
                let row: Option<(i64,)> = on_tx!(&mut tx, conn => {
                    sqlx::query_as(NEXT).bind(id.get()).fetch_optional(conn).await?
                });
                let (version,) = row.ok_or(StoreError::NotFound($noun))?;
                insert_version(&mut tx, id, version, settings, by, at).await?;
                let detail = format!("{{\"id\":{id},\"version\":{version}}}");
                audit::write(&mut tx, at, by, concat!($noun, ".changed"), &detail).await?;
                tx.commit().await?;
                whole("version", version)
            }
        }

        async fn insert_version(
            tx: &mut Tx,
            id: $Id,
            version: i64,
            settings: &$Settings,
            by: &str,
            at: Utc,
        ) -> Result<(), StoreError> {
            const SQL: &str = concat!(
                "INSERT INTO ", $noun, "_version (", $noun, ", version, settings, at_ms, made_by) ",
                "VALUES ($1, $2, $3, $4, $5)"
            );
            let text = json(concat!($noun, " settings"), settings)?;
            on_tx!(tx, conn => {
                sqlx::query(SQL).bind(id.get()).bind(version).bind(text).bind(at.as_ms()).bind(by)
                    .execute(conn).await?;
            });
            Ok(())
        }

        fn of_row(
            (id, version, text): (i64, i64, String),
        ) -> Result<Versioned<$Id, $Settings>, StoreError> {
            Ok(Versioned {
                id: $Id::new(id),
                version: whole("version", version)?,
                settings: from_json(concat!($noun, " settings"), &text)?,
            })
        }
    };
}

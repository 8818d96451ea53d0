//! Lists: brought in by chunks, visible only when committed whole.

use chrono_tz::Tz;
use serde::Serialize;

use crate::domain::contact::NumberType;
use crate::domain::ids::ListId;
use crate::domain::phone::E164;
use crate::domain::time::Utc;

use super::db::{Db, Tx};
use super::error::StoreError;
use super::words::{clean, json, whole, word};

/// A row that an importer has read and found good.
#[derive(Clone, PartialEq, Eq)]
pub struct NewContact {
    /// The CRM's id of the person; empty where the source has none: then the number stands for them.
    pub external_ref: String,
    /// The person's name.
    pub name: String,
    /// The number to dial.
    pub number: E164,
    /// Where the person is; calling hours are judged there.
    pub zone: Tz,
    /// Kind of line.
    pub number_type: NumberType,
    /// Dialled before greater ones.
    pub priority: i32,
    /// Fields of the source in their order.
    pub fields: Vec<(String, String)>,
}

/// Names and numbers stay out of logs.
impl std::fmt::Debug for NewContact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewContact").field("number", &self.number).finish_non_exhaustive()
    }
}

/// What became of the rows of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Added {
    /// New rows of the list.
    pub accepted: u64,
    /// Rows whose number stands in the list already.
    pub duplicates: u64,
}

/// A list as pages show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ListRow {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Where it came from: a file name, a CRM's address.
    pub source: String,
    /// `loading`, `ready` or `dropped`.
    pub state: String,
    /// How many contacts it has.
    pub contacts: u64,
    /// When the import began, UTC milliseconds.
    pub created_ms: i64,
    /// When it was committed, UTC milliseconds.
    pub committed_ms: Option<i64>,
}

/// A contact as the statements below read it from JSON.
#[derive(Serialize)]
struct JsonRow<'a> {
    ord: usize,
    external_ref: String,
    digits: u64,
    number_type: String,
    prefix_class: u16,
    name: String,
    zone: &'static str,
    priority: i32,
    fields: &'a str,
}

/// Rows written by one transaction. A thousand take some 20 ms on SQLite, and a waiting intent no
/// longer than that.
const ADD_CHUNK: usize = 1_000;
/// Rows deleted by one transaction.
const DROP_CHUNK: i64 = 5_000;

/// The rows of a chunk as a table expression: the only place where the databases differ.
macro_rules! chunk_rows {
    (sqlite) => {
        "(SELECT value ->> 'ord' AS ord, value ->> 'external_ref' AS external_ref, \
         value ->> 'digits' AS digits, value ->> 'number_type' AS number_type, \
         value ->> 'prefix_class' AS prefix_class, value ->> 'name' AS name, \
         value ->> 'zone' AS zone, value ->> 'priority' AS priority, \
         value ->> 'fields' AS fields FROM json_each($1)) AS r"
    };
    (postgres) => {
        "json_to_recordset($1::json) AS r (ord BIGINT, external_ref TEXT, digits BIGINT, \
         number_type TEXT, prefix_class BIGINT, name TEXT, zone TEXT, priority BIGINT, \
         fields TEXT)"
    };
}

// Rows that exist already are sought in key order, so that two imports never wait in a circle.
macro_rules! insert_persons {
    ($db:ident) => {
        concat!(
            "INSERT INTO person (external_ref, created_ms) \
             SELECT r.external_ref, $2 FROM ",
            chunk_rows!($db),
            " WHERE TRUE GROUP BY r.external_ref ORDER BY r.external_ref \
             ON CONFLICT (external_ref) DO NOTHING"
        )
    };
}
macro_rules! insert_numbers {
    ($db:ident) => {
        concat!(
            "INSERT INTO number (digits, number_type, prefix_class, created_ms) \
             SELECT r.digits, MIN(r.number_type), MIN(r.prefix_class), $2 FROM ",
            chunk_rows!($db),
            " WHERE TRUE GROUP BY r.digits ORDER BY r.digits ON CONFLICT (digits) DO NOTHING"
        )
    };
}
// CROSS JOIN keeps SQLite at "each row, then its person and number by index".
macro_rules! insert_contacts {
    ($db:ident) => {
        concat!(
            "INSERT INTO contact (list, person, number, name, zone, priority, fields) \
             SELECT $2, p.id, n.id, r.name, r.zone, r.priority, r.fields FROM ",
            chunk_rows!($db),
            " CROSS JOIN person p CROSS JOIN number n \
             WHERE p.external_ref = r.external_ref AND n.digits = r.digits \
             ORDER BY r.ord ON CONFLICT (list, number) DO NOTHING"
        )
    };
}
macro_rules! insert_person_numbers {
    ($db:ident) => {
        concat!(
            "INSERT INTO person_number (person, number, source) \
             SELECT p.id, n.id, $2 FROM ",
            chunk_rows!($db),
            " CROSS JOIN person p CROSS JOIN number n \
             WHERE p.external_ref = r.external_ref AND n.digits = r.digits \
             GROUP BY p.id, n.id ORDER BY p.id, n.id ON CONFLICT (person, number) DO NOTHING"
        )
    };
}

impl Db {
    /// Begins a list that nobody sees until [`Db::commit_list`].
    pub async fn begin_list(
        &self,
        name: &str,
        source: &str,
        at: Utc,
    ) -> Result<ListId, StoreError> {
        const SQL: &str = "INSERT INTO list (name, source, state, accepted, created_ms) \
                           VALUES ($1, $2, 'loading', 0, $3) RETURNING id";
        let mut tx = self.begin().await?;
        let (id,): (i64,) = on_tx!(&mut tx, conn => {
            sqlx::query_as(SQL).bind(clean(name)).bind(clean(source)).bind(at.as_ms())
                .fetch_one(conn).await?
        });
        tx.commit().await?;
        Ok(ListId::new(id))
    }

    /// Adds rows to a list that is being loaded. The same external reference is the same person, the
    /// same number one row of `number`; a number that the list has already is a duplicate.
    pub async fn add_contacts(
        &self,
        list: ListId,
        contacts: &[NewContact],
        at: Utc,
    ) -> Result<Added, StoreError> {
        let mut added = Added::default();
        for chunk in contacts.chunks(ADD_CHUNK) {
            let accepted = self.add_chunk(list, chunk, at).await?;
            added.accepted += accepted;
            added.duplicates += (chunk.len() as u64).saturating_sub(accepted);
        }
        Ok(added)
    }

    async fn add_chunk(
        &self,
        list: ListId,
        contacts: &[NewContact],
        at: Utc,
    ) -> Result<u64, StoreError> {
        const COUNT: &str = "UPDATE list SET accepted = accepted + $2 \
                             WHERE id = $1 AND state = 'loading'";
        let rows = json_rows(contacts)?;
        let mut tx = self.begin().await?;
        for sql in [
            tx.dialect(insert_persons!(sqlite), insert_persons!(postgres)),
            tx.dialect(insert_numbers!(sqlite), insert_numbers!(postgres)),
        ] {
            on_tx!(&mut tx, conn => {
                sqlx::query(sql).bind(&rows).bind(at.as_ms()).execute(conn).await?;
            });
        }
        let contacts_sql = tx.dialect(insert_contacts!(sqlite), insert_contacts!(postgres));
        let numbers_sql =
            tx.dialect(insert_person_numbers!(sqlite), insert_person_numbers!(postgres));
        let accepted = on_tx!(&mut tx, conn => {
            let accepted = sqlx::query(contacts_sql).bind(&rows).bind(list.get())
                .execute(&mut *conn).await?.rows_affected();
            sqlx::query(numbers_sql).bind(&rows).bind(format!("list:{list}"))
                .execute(&mut *conn).await?;
            accepted
        });
        let counted = on_tx!(&mut tx, conn => {
            sqlx::query(COUNT).bind(list.get()).bind(accepted as i64).execute(conn).await?
                .rows_affected()
        });
        if counted == 0 {
            return Err(StoreError::ListNotReady(list.get()));
        }
        tx.commit().await?;
        Ok(accepted)
    }

    /// Makes a loaded list visible; it does not change any more.
    pub async fn commit_list(&self, list: ListId, at: Utc) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE list SET state = 'ready', committed_ms = $2 \
                           WHERE id = $1 AND state = 'loading'";
        let mut tx = self.begin().await?;
        let changed = on_tx!(&mut tx, conn => {
            sqlx::query(SQL).bind(list.get()).bind(at.as_ms()).execute(conn).await?.rows_affected()
        });
        if changed == 0 {
            return Err(StoreError::ListNotReady(list.get()));
        }
        tx.commit().await
    }

    /// Takes a list that was not committed away again; persons and numbers stay.
    pub async fn drop_list(&self, list: ListId) -> Result<(), StoreError> {
        const DROP: &str = "UPDATE list SET state = 'dropped', accepted = 0 \
                            WHERE id = $1 AND state = 'loading'";
        const DELETE: &str = "DELETE FROM contact WHERE list = $1 AND id > $2 AND id <= $3";
        let mut tx = self.begin().await?;
        let changed = on_tx!(&mut tx, conn => {
            sqlx::query(DROP).bind(list.get()).execute(conn).await?.rows_affected()
        });
        if changed == 0 {
            return Err(StoreError::ListNotReady(list.get()));
        }
        tx.commit().await?;
        let mut after = 0;
        loop {
            let mut tx = self.begin().await?;
            let Some(last) = chunk_end(&mut tx, list, after, DROP_CHUNK).await? else {
                return Ok(());
            };
            on_tx!(&mut tx, conn => {
                sqlx::query(DELETE).bind(list.get()).bind(after).bind(last).execute(conn).await?;
            });
            tx.commit().await?;
            after = last;
        }
    }

    /// Drops what an import left half done when the program ended in its midst. Called at the start,
    /// before any import.
    pub async fn drop_unfinished_lists(&self) -> Result<u64, StoreError> {
        let loading: Vec<ListRow> =
            self.lists().await?.into_iter().filter(|list| list.state == "loading").collect();
        for list in &loading {
            self.drop_list(ListId::new(list.id)).await?;
        }
        Ok(loading.len() as u64)
    }

    /// All lists, the newest first.
    pub async fn lists(&self) -> Result<Vec<ListRow>, StoreError> {
        type Row = (i64, String, String, String, i64, i64, Option<i64>);
        const SQL: &str = "SELECT id, name, source, state, accepted, created_ms, committed_ms \
                           FROM list ORDER BY id DESC";
        let rows: Vec<Row> = on_db!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await?);
        rows.into_iter()
            .map(|(id, name, source, state, accepted, created_ms, committed_ms)| {
                let contacts = whole("count", accepted)?;
                Ok(ListRow { id, name, source, state, contacts, created_ms, committed_ms })
            })
            .collect()
    }
}

/// The rows of a chunk as the one JSON text that all four statements read: three to four times
/// faster than a statement per row, and the same text for both databases.
fn json_rows(contacts: &[NewContact]) -> Result<String, StoreError> {
    let fields: Vec<String> =
        contacts.iter().map(|c| json("fields", &c.fields)).collect::<Result<_, _>>()?;
    let rows: Vec<JsonRow<'_>> = contacts
        .iter()
        .zip(&fields)
        .enumerate()
        .map(|(ord, (contact, fields))| JsonRow {
            ord,
            external_ref: if contact.external_ref.is_empty() {
                contact.number.to_string()
            } else {
                clean(&contact.external_ref)
            },
            digits: contact.number.get(),
            number_type: word(&contact.number_type),
            prefix_class: country_code(contact.number),
            name: clean(&contact.name),
            zone: contact.zone.name(),
            priority: contact.priority,
            fields,
        })
        .collect();
    json("contacts", &rows)
}

/// The calling code that a number begins with (ITU-T E.164.D): one digit in zones 1 and 7, two or
/// three in the others.
fn country_code(number: E164) -> u16 {
    const TWO_DIGITS: [u16; 44] = [
        20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55,
        56, 57, 58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
    ];
    let digits = number.digits();
    let head = |n: usize| digits.get(..n).and_then(|head| head.parse().ok()).unwrap_or(0);
    match head(1) {
        one @ (1 | 7) => one,
        _ if TWO_DIGITS.contains(&head(2)) => head(2),
        _ => head(3),
    }
}

/// The last contact of a list's next chunk after `after`; `None` when there are no more.
pub(crate) async fn chunk_end(
    tx: &mut Tx,
    list: ListId,
    after: i64,
    limit: i64,
) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT MAX(id) FROM (SELECT id FROM contact WHERE list = $1 AND id > $2 \
                       ORDER BY id LIMIT $3) AS chunk";
    let (last,): (Option<i64>,) = on_tx!(tx, conn => {
        sqlx::query_as(SQL).bind(list.get()).bind(after).bind(limit).fetch_one(conn).await?
    });
    Ok(last)
}

/// Fails unless the list was committed.
pub(crate) async fn expect_ready(tx: &mut Tx, list: ListId) -> Result<(), StoreError> {
    const SQL: &str = "SELECT id FROM list WHERE id = $1 AND state = 'ready'";
    let row: Option<(i64,)> = on_tx!(tx, conn => {
        sqlx::query_as(SQL).bind(list.get()).fetch_optional(conn).await?
    });
    row.map(|_| ()).ok_or(StoreError::ListNotReady(list.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_code_has_one_two_or_three_digits() {
        let of = |text: &str| country_code(E164::parse(text).unwrap());
        assert_eq!(of("+12125550100"), 1);
        assert_eq!(of("+79161234567"), 7);
        assert_eq!(of("+442079460018"), 44);
        assert_eq!(of("+380501234567"), 380);
        assert_eq!(of("+35312345678"), 353);
    }
}

//! Contacts as people see them: the card of a screen pop, and whom an intent is going to dial.

use chrono_tz::Tz;

use crate::domain::attempt::AttemptKey;
use crate::domain::ids::{ContactId, ListId};
use crate::domain::phone::E164;

use super::db::{Db, Tx};
use super::error::{StoreError, corrupt};
use super::words::{from_json, whole};

/// Who a contact is.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactCard {
    /// The row of the list.
    pub contact: ContactId,
    /// Which list.
    pub list: ListId,
    /// The CRM's own id of the person.
    pub external_ref: String,
    /// The person's name.
    pub name: String,
    /// The number.
    pub number: E164,
    /// The contact's time zone.
    pub zone: Tz,
    /// Fields of the list in their order.
    pub fields: Vec<(String, String)>,
}

/// Names and numbers stay out of logs.
impl std::fmt::Debug for ContactCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContactCard").field("contact", &self.contact).finish_non_exhaustive()
    }
}

/// The columns of [`CardRow`], for every statement that reads a card.
macro_rules! card_columns {
    () => {
        "c.id AS contact, c.list, p.external_ref, c.name, n.digits, c.zone, c.fields"
    };
}
/// Where they come from.
macro_rules! card_tables {
    () => {
        "contact c JOIN person p ON p.id = c.person JOIN number n ON n.id = c.number"
    };
}
#[derive(sqlx::FromRow)]
pub(crate) struct CardRow {
    contact: i64,
    list: i64,
    external_ref: String,
    name: String,
    digits: i64,
    zone: String,
    fields: String,
}

impl CardRow {
    pub(crate) fn card(self) -> Result<ContactCard, StoreError> {
        Ok(ContactCard {
            contact: ContactId::new(self.contact),
            list: ListId::new(self.list),
            external_ref: self.external_ref,
            name: self.name,
            number: number(self.digits)?,
            zone: zone(&self.zone)?,
            fields: from_json("contact fields", &self.fields)?,
        })
    }
}

pub(crate) fn number(digits: i64) -> Result<E164, StoreError> {
    E164::from_digits(whole("number", digits)?).ok_or_else(|| corrupt("number", "not E.164"))
}

pub(crate) fn zone(name: &str) -> Result<Tz, StoreError> {
    name.parse().map_err(|error| corrupt("time zone", error))
}

impl Db {
    /// The card of a contact, for a preview or a screen pop.
    pub async fn contact_card(
        &self,
        contact: ContactId,
    ) -> Result<Option<ContactCard>, StoreError> {
        const SQL: &str =
            concat!("SELECT ", card_columns!(), " FROM ", card_tables!(), " WHERE c.id = $1");
        let row: Option<CardRow> = on_db!(self, pool => {
            sqlx::query_as(SQL).bind(contact.get()).fetch_optional(pool).await?
        });
        row.map(CardRow::card).transpose()
    }
}

/// The card of an attempt's contact; `None` unless it is the same person and number still.
pub(crate) async fn card_of(
    tx: &mut Tx,
    key: AttemptKey,
) -> Result<Option<ContactCard>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        card_columns!(),
        " FROM ",
        card_tables!(),
        " WHERE c.id = $1 AND c.person = $2 AND c.number = $3"
    );
    let row: Option<CardRow> = on_tx!(tx, conn => {
        sqlx::query_as(SQL).bind(key.contact.get()).bind(key.person.get()).bind(key.number.get())
            .fetch_optional(conn).await?
    });
    row.map(CardRow::card).transpose()
}

//! Lists of contacts: brought in by file or from a CRM, with a report of what was left out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::routes::Routes;

/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
}

/// What became of the rows of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// The new list.
    pub list: i64,
    /// Rows read.
    pub rows: u64,
    /// Rows that became contacts.
    pub accepted: u64,
    /// Rows whose number stood in the list already.
    pub duplicates: u64,
    /// Rows that cannot be dialled.
    pub rejected: u64,
    /// Where each rejected row is told, with its reason; absent when there is none.
    pub rejects_url: Option<String>,
}

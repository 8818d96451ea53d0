//! Where CRM events are posted.
use super::routes::Routes;
/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
}

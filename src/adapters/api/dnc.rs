//! Numbers that are not called.
use super::routes::Routes;
/// The routes of this file.
pub fn routes() -> Routes {
    Routes::new()
}

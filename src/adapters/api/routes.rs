//! A router that remembers its routes, so that a test can compare them with the OpenAPI document.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use super::state::ApiState;

/// Routes and the list of them.
#[derive(Default)]
pub struct Routes {
    router: Router<ApiState>,
    listed: Vec<(&'static str, &'static str)>,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $method:literal;)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<H, T>(self, path: &'static str, handler: H) -> Self
        where
            H: Handler<T, ApiState>,
            T: 'static,
        {
            self.add($method, path, $name(handler))
        }
    )+};
}

impl Routes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    methods! {
        /// Reads something.
        get = "get";
        /// Makes or commands something.
        post = "post";
        /// Sets something whole.
        put = "put";
        /// Changes a part of something.
        patch = "patch";
        /// Takes something away.
        delete = "delete";
    }

    /// A route whose method router has layers of its own.
    #[must_use]
    pub fn add(
        mut self,
        method: &'static str,
        path: &'static str,
        route: MethodRouter<ApiState>,
    ) -> Self {
        self.router = self.router.route(path, route);
        self.listed.push((method, path));
        self
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.listed.extend(other.listed);
        self
    }

    /// The router.
    pub fn into_router(self) -> Router<ApiState> {
        self.router
    }

    /// Method (lower case) and path pattern of each route.
    pub fn listed(&self) -> &[(&'static str, &'static str)] {
        &self.listed
    }
}

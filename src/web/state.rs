//! What every handler is handed: built once in `main`, cloned cheaply. No global state beside it.

use super::assets::Assets;
use crate::{config::Config, services::Services};
use std::sync::Arc;

#[derive(Clone)]
pub struct AppState {
    pub config: Arc<Config>,
    pub assets: Arc<Assets>,
    pub services: Arc<Services>,
}

impl std::ops::Deref for AppState {
    type Target = Services;
    fn deref(&self) -> &Services {
        &self.services
    }
}

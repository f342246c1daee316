//! Floor 4: everything that speaks HTTP.
//!
//! - [`router`] the whole route table               - [`middleware`] what happens to every request
//! - [`pages`] full pages, [`fragments`] their pieces for htmx: GET, never change anything
//! - [`functions`] server functions: the only way a page writes
//! - [`islands`] the few interactive components, compiled to WASM
//! - [`api`] the JSON API                           - [`components`], [`shell`] what pages are made of
//! - [`format`] figures in words, [`plot`] the arithmetic of charts: pure, for islands too
//! - [`session`] cookie to person  - [`page`] one page's answer  - [`flash`] what a form's answer carries
//! - [`error`] from a service's error to page, fragment or JSON  - [`attachment`] a stored file on its way out

pub mod format;
pub mod islands;
pub mod plot;

#[cfg(feature = "ssr")]
pub mod api;
#[cfg(feature = "ssr")]
pub mod assets;
#[cfg(feature = "ssr")]
pub mod attachment;
#[cfg(feature = "ssr")]
pub mod components;
#[cfg(feature = "ssr")]
pub mod download;
#[cfg(feature = "ssr")]
pub mod error;
#[cfg(feature = "ssr")]
pub mod flash;
#[cfg(feature = "ssr")]
pub mod fragments;
#[cfg(feature = "ssr")]
pub mod functions;
#[cfg(feature = "ssr")]
pub mod icons;
#[cfg(feature = "ssr")]
pub mod middleware;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "ssr")]
pub mod pages;
#[cfg(feature = "ssr")]
pub mod render;
#[cfg(feature = "ssr")]
pub mod router;
#[cfg(feature = "ssr")]
pub mod session;
#[cfg(feature = "ssr")]
pub mod shell;
#[cfg(feature = "ssr")]
pub mod state;
#[cfg(feature = "ssr")]
pub mod typed;

#[cfg(all(test, feature = "ssr"))]
mod contrast;
#[cfg(all(test, feature = "ssr"))]
mod gallery;

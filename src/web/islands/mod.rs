//! The interactive components, compiled to WASM. Flat: no island in an island, no router, no Suspense; kept out of
//! regions that htmx swaps.
//!
//! The build makes a module of each (feature `island-<name>`): a page loads the one that it shows, and a page without
//! an island carries no WASM. The server has them all.

#[cfg(any(feature = "ssr", feature = "island-chat"))]
pub mod chat;
#[cfg(any(feature = "ssr", feature = "island-job"))]
pub mod job;
#[cfg(any(feature = "ssr", feature = "island-uploader"))]
pub mod uploader;

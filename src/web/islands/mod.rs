//! The interactive components, compiled to WASM. Flat: no island in an island, no router, no Suspense; kept out of
//! regions that htmx swaps. Pages without one carry no WASM.

pub mod chat;
pub mod job;
pub mod uploader;

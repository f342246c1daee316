//! What happens to every request and answer, one concern a file.

pub mod cache;
pub mod csp;
pub mod error_pages;
pub mod headers;
pub mod request_id;

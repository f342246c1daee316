//! Floor 3: what the product does. A method is one unit of work: authorise, act, audit. Nothing here knows HTTP,
//! Leptos, SQL or a process; the ports below do.
//!
//! - [`accounts`] people, passwords, sessions   - [`policy`] who may do what
//! - [`limits`] how often
//! - [`hub`] wakes who waits for a job         - [`all`] every service, built once
//! - [`context`] who asks, time, randomness     - [`error`] why not
//! - [`datasets`] upload, check, preview, repair

pub mod accounts;
pub mod all;
pub mod context;
pub mod datasets;
pub mod error;
pub mod hub;
pub mod limits;
pub mod passwords;
pub mod policy;
pub mod supervisor;

pub use all::Services;

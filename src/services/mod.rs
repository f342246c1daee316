//! Floor 3: what the product does. A method is one unit of work: authorise, act, audit. Nothing here knows HTTP,
//! Leptos, SQL or a process; the ports below do.
//!
//! - [`accounts`] people, passwords, sessions   - [`policy`] who may do what
//! - [`supervisor`] drives training jobs        - [`limits`] how often
//! - [`context`] who asks, time, randomness     - [`error`] why not

pub mod accounts;
pub mod context;
pub mod error;
pub mod limits;
pub mod passwords;
pub mod policy;

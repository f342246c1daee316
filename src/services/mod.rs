//! Floor 3: what the product does. A method is one unit of work: authorise, act, audit. Nothing here knows HTTP,
//! Leptos, SQL or a process; the ports below do.
//!
//! - [`accounts`] people, passwords, sessions   - [`policy`] who may do what
//! - [`training`] jobs as a person sees them   - [`models`], [`playground`] what they made
//! - [`supervisor`] drives training jobs        - [`limits`] how often
//! - [`hub`] wakes who waits for a job         - [`all`] every service, built once
//! - [`context`] who asks, time, randomness     - [`error`] why not
//! - [`datasets`] upload, check, preview, repair  - [`hosting`] models on machines of AWS
//! - [`catalogue`] JumpStart's models           - [`costs`] what it costs on AWS, and budgets
//! - [`talk`] whoever can be talked to, under one name
//! - [`checkup`] whether AWS is as the server needs it, and what runs there unknown

pub mod accounts;
pub mod all;
pub mod catalogue;
pub mod checkup;
pub mod context;
pub mod costs;
pub mod datasets;
pub mod error;
pub mod hosting;
pub mod hub;
pub mod limits;
pub mod models;
pub mod passwords;
pub mod playground;
pub mod policy;
pub mod supervisor;
pub mod talk;
pub mod training;

pub use all::Services;

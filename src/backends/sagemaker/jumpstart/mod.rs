//! JumpStart: models of AWS's public hub, each with its own container, script and settings.
//!
//! - [`document`] reads what the hub says about a model, [`fields`] single fields of it.
//! - [`snapshot`] is the list that ships with the program.
//! - [`training`] makes the request that trains one.

pub mod document;
mod fields;
pub mod snapshot;
pub mod training;

#[cfg(test)]
mod tests;

//! JumpStart: models of AWS's public hub, each with its own container, script and settings.
//!
//! - [`document`] reads what the hub says about a model, [`fields`] single fields of it.
//! - [`hub`] is the catalogue as AWS has it, [`shipped`] the one without AWS: [`snapshot`], a dated list.
//! - [`hosting`] how to host one.
//! - [`training`] makes the request that trains one.

pub mod document;
mod fields;
pub mod hosting;
pub mod hub;
pub mod shipped;
pub mod snapshot;
pub mod training;

#[cfg(test)]
mod tests;

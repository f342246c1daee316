//! The commands behind the command line, one file each: they wire the parts together, and only they do.

pub mod aws;
pub mod doctor;
pub mod health;
pub mod migrate;
pub mod serve;
pub mod train;
pub mod validate;

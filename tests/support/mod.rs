//! What several test programs share.

pub mod databases;
pub mod make;
pub mod proxy;

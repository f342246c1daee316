//! What several test programs share.

pub mod databases;
pub mod faulty;
pub mod make;
pub mod moto;
pub mod proxy;

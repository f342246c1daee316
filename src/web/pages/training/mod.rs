//! Training: the list, the form, a job.

mod card;
mod form;
mod job;
mod list;
mod place;
pub mod views;

pub use card::plan_fragment;
pub use form::page as new;
pub use job::page as show;
pub use list::page as list;

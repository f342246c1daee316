//! Full pages, one file an area. A handler gathers, asks a service, and shows; the view below it is plain data in,
//! view out, so that a fragment can render the same.

pub mod accounts;
pub mod api_docs;
pub mod aws;
pub mod costs;
pub mod datasets;
pub mod endpoints;
pub mod jumpstart;
pub mod models;
pub mod overview;
pub mod playground;
pub mod training;

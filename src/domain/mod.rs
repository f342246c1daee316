//! Floor 1: the product's types and rules. No I/O, no clock, no framework; compiled for WASM too.
//!
//! - [`ids`]: typed identifiers.
//! - [`time`]: instants, and the [`time::Clock`] port through which everybody asks for the time.
//! - [`account`]: e-mail, password, role, user, session.
//! - [`dataset`]: a dataset's row and its states.
//! - [`upload`]: a file that comes in pieces and is no dataset yet.
//! - [`cloud`]: where a job runs, and what it needs to run on SageMaker.
//! - [`instance`]: the machines of SageMaker.
//! - [`job`]: a training job's row, its states and which may follow which.
//! - [`event`]: what a running job tells: log lines, metrics, samples, changes of state.
//! - [`jumpstart`]: a JumpStart model: its settings, its data, what training and hosting it take.
//! - [`model`]: a finished model and its files.
//! - [`endpoint`]: a model that is hosted on SageMaker.
//! - [`instance`]: the machines that SageMaker offers.
//! - [`licence`]: who accepted which model's licence.
//! - [`money`], [`charge`]: amounts, and what running something cost.
//! - [`audit`]: one line of the audit log.
//! - [`checkup`]: what a look at AWS found.
//! - [`field`]: an error that names the field it is about.

pub mod account;
pub mod audit;
pub mod charge;
pub mod checkup;
pub mod cloud;
pub mod dataset;
pub mod endpoint;
pub mod event;
pub mod field;
pub mod ids;
pub mod instance;
pub mod job;
pub mod jumpstart;
pub mod licence;
pub mod model;
pub mod money;
pub mod time;
pub mod upload;

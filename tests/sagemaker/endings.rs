//! Stops, failures, other machines.

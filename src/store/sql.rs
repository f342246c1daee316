//! SQLite and Postgres behind the store port.

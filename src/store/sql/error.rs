//! What a database's error means to the port.

use super::super::StoreError;
use sqlx::error::DatabaseError;

/// Which unique value each constraint guards: Postgres tells the constraint, SQLite the table and columns.
const UNIQUE: [(&str, &str, &str); 8] = [
    ("users_email_key", "users.email", "email"),
    ("jobs_name_key", "jobs.name", "job name"),
    ("jobs_user_id_idempotency_key_key", "jobs.idempotency_key", "idempotency key"),
    ("sessions_secret_hash_key", "sessions.secret_hash", "session secret"),
    ("datasets_family_id_version_key", "datasets.version", "dataset version"),
    ("models_job_id_key", "models.job_id", "model of this job"),
    ("endpoints_name_key", "endpoints.name", "endpoint name"),
    ("job_events_pkey", "job_events.seq", "event number"),
];

/// A foreign key that points at nothing, or would after a deletion.
const REFERENCE: &str = "reference";

/// What a broken reference means to the caller; other errors as they are.
pub(super) fn reference(error: StoreError, meaning: StoreError) -> StoreError {
    if matches!(error, StoreError::NotFound(REFERENCE)) { meaning } else { error }
}

pub(super) fn lost_connection() -> StoreError {
    StoreError::Unavailable("the connection was lost".to_owned())
}

pub(super) fn from_sqlx(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => from_database(&*error),
        sqlx::Error::ColumnDecode { source, .. } | sqlx::Error::Decode(source) => {
            StoreError::Corrupt("a column", source.to_string())
        }
        sqlx::Error::ColumnNotFound(name) => StoreError::Corrupt("a column", format!("{name} is missing")),
        sqlx::Error::PoolTimedOut => StoreError::Unavailable("no connection became free in time".to_owned()),
        sqlx::Error::PoolClosed => StoreError::Unavailable("the server is shutting down".to_owned()),
        sqlx::Error::Migrate(error) => from_migrate(*error),
        other => StoreError::Unavailable(other.to_string()),
    }
}

pub(super) fn from_migrate(error: sqlx::migrate::MigrateError) -> StoreError {
    use sqlx::migrate::MigrateError;
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => from_sqlx(error),
        // A newer server was here, or somebody changed a migration: nothing that waiting would help.
        other => StoreError::Corrupt("the schema", other.to_string()),
    }
}

fn from_database(error: &dyn DatabaseError) -> StoreError {
    let message = error.message();
    if error.is_unique_violation() {
        let constraint = error.constraint().unwrap_or_default();
        let kind = UNIQUE
            .iter()
            .find(|(postgres, sqlite, _)| *postgres == constraint || message.contains(sqlite))
            .map_or("id", |(_, _, kind)| kind);
        return StoreError::Taken(kind);
    }
    if error.is_foreign_key_violation() {
        return StoreError::NotFound(REFERENCE);
    }
    let code = error.code().unwrap_or_default();
    match code.parse::<i32>() {
        // SQLite's result codes are numbers of at most five digits whose low byte is the primary code …
        Ok(number) if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() => {
            from_sqlite(number, message)
        }
        // … Postgres' SQLSTATE has five characters, the first two of which are the class.
        _ => from_postgres(&code, message),
    }
}

fn from_sqlite(code: i32, message: &str) -> StoreError {
    /// No room for the shared-memory index of the write-ahead log.
    const IOERR_SHMSIZE: i32 = 4874;
    const FULL: i32 = 13;
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    const ERROR: i32 = 1;
    const CONSTRAINT: i32 = 19;
    match code {
        IOERR_SHMSIZE => StoreError::Full,
        _ => match code & 0xff {
            FULL => StoreError::Full,
            CORRUPT | NOT_A_DATABASE => StoreError::Corrupt("the database file", message.to_owned()),
            ERROR | CONSTRAINT => StoreError::Corrupt("a row", message.to_owned()),
            _ => StoreError::Unavailable(message.to_owned()),
        },
    }
}

fn from_postgres(code: &str, message: &str) -> StoreError {
    match code {
        "53100" => StoreError::Full,
        "XX001" | "XX002" => StoreError::Corrupt("the database", message.to_owned()),
        // Data exceptions, broken constraints, a schema that is not ours, our own triggers.
        _ if ["22", "23", "42", "P0"].iter().any(|class| code.starts_with(class)) => {
            StoreError::Corrupt("a row", message.to_owned())
        }
        _ => StoreError::Unavailable(format!("{message} ({code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_one_that_does_not_answer() {
        assert!(matches!(from_sqlite(13, ""), StoreError::Full));
        assert!(matches!(from_sqlite(4874, ""), StoreError::Full));
        assert!(matches!(from_postgres("53100", ""), StoreError::Full));
        assert!(matches!(from_sqlite(5, "database is locked"), StoreError::Unavailable(_)));
        for code in ["57014", "57P01", "08006", "53300", "40001", "25006"] {
            assert!(matches!(from_postgres(code, ""), StoreError::Unavailable(_)), "{code}");
        }
        assert!(matches!(from_sqlite(26, ""), StoreError::Corrupt(..)));
        assert!(matches!(from_postgres("42P01", ""), StoreError::Corrupt(..)));
    }
}

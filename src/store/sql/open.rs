//! Opening a database: connections, pragmas, limits, and migrations, which run by themselves.

use super::super::{StoreError, StoreResult};
use super::{
    Pools,
    error::{from_migrate, from_sqlx},
};
use sqlx::{
    Connection as _,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
    sqlite::{
        SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    str::FromStr,
    time::Duration,
};

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Pages of SQLite that one reader keeps in memory come to about 2 MB; four readers are plenty for two cores.
const READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 8;
/// How long a caller waits for a connection.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(3);
const BUSY_FOR: Duration = Duration::from_secs(5);

pub(super) async fn sqlite(url: &str) -> StoreResult<Pools> {
    let options = SqliteConnectOptions::from_str(url).map_err(from_sqlx)?;
    let path = options.get_filename().to_owned();
    if path.as_os_str().is_empty() || url.contains(":memory:") || url.contains("mode=memory") {
        return Err(StoreError::Unavailable("a SQLite database needs a file: use sqlite://PATH".to_owned()));
    }
    private_file(&path)
        .map_err(|error| StoreError::Unavailable(format!("{} can't be opened: {error}", path.display())))?;
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        // Full: what was acknowledged survives a power cut, not only a crash of the process.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_FOR)
        .optimize_on_close(true, 400);
    migrate_sqlite(&options).await?;
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(BUSY_FOR)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone())
        .await
        .map_err(from_sqlx)?;
    let read = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE_WITHIN)
        .test_before_acquire(false)
        .connect_lazy_with(options.pragma("query_only", "on"));
    Ok(Pools::Sqlite { write, read })
}

/// Makes the file and its folder for the owner alone, and takes others' rights away where the file is there already.
/// SQLite gives its `-wal` and `-shm` files the same rights.
fn private_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// All pending migrations in one transaction that nobody else can write beside, so two servers may start at once.
async fn migrate_sqlite(options: &SqliteConnectOptions) -> StoreResult<()> {
    let mut conn = wal_connection(options).await?;
    let mut tx = conn.begin_with("begin exclusive").await.map_err(from_sqlx)?;
    SQLITE.run_direct(None, &mut *tx, false).await.map_err(from_migrate)?;
    tx.commit().await.map_err(from_sqlx)?;
    conn.close().await.map_err(from_sqlx)
}

/// The first connections to a new file race to switch it to WAL, and for that step alone SQLite does not wait: so we do.
async fn wal_connection(options: &SqliteConnectOptions) -> StoreResult<SqliteConnection> {
    for _ in 0..50 {
        match SqliteConnection::connect_with(options).await.map_err(from_sqlx) {
            Err(StoreError::Unavailable(message)) if message.contains("locked") => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            other => return other,
        }
    }
    Err(StoreError::Unavailable("another process keeps the database locked".to_owned()))
}

pub(super) async fn postgres(url: &str) -> StoreResult<Pools> {
    let options = PgConnectOptions::from_str(url).map_err(from_sqlx)?.application_name("llm-tuner");
    // Without the limits of the pool: a migration may take long, and waits for another server's under sqlx's lock.
    let connect = tokio::time::timeout(BUSY_FOR, PgConnection::connect_with(&options));
    let mut conn = connect
        .await
        .map_err(|_| StoreError::Unavailable("no connection in 5 s".to_owned()))?
        .map_err(from_sqlx)?;
    POSTGRES.run_direct(None, &mut conn, false).await.map_err(from_migrate)?;
    conn.close().await.map_err(from_sqlx)?;

    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_WITHIN)
        // Our own check in place of sqlx's, which would wait on a dead line for as long as the caller has.
        .test_before_acquire(false)
        .before_acquire(|conn, _| {
            Box::pin(async move {
                match tokio::time::timeout(Duration::from_secs(1), conn.ping()).await {
                    Ok(outcome) => outcome.map(|()| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
        .connect_lazy_with(
            options.options([("statement_timeout", "4s"), ("idle_in_transaction_session_timeout", "5s")]),
        );
    Ok(Pools::Postgres(pool))
}

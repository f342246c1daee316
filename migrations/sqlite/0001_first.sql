-- The first schema. Its twin is migrations/postgres/0001_first.sql: same numbers, same meaning.
-- Ids are text, times are microseconds since 1970, JSON is text, a truth value is 0 or 1.

create table users (
    id            text primary key,
    email         text not null unique,
    full_name     text not null,
    password_hash text not null,
    role          text not null,
    disabled      integer not null,
    created_at    integer not null
) strict;
create index users_newest on users (created_at desc, id desc);

create table sessions (
    id           text primary key,
    secret_hash  text not null unique,
    user_id      text not null references users (id) on delete cascade,
    created_at   integer not null,
    last_seen_at integer not null,
    expires_at   integer not null,
    ip           text not null,
    user_agent   text not null
) strict;
create index sessions_of_user on sessions (user_id, created_at desc, id desc);
create index sessions_by_end on sessions (expires_at);
create index sessions_by_use on sessions (last_seen_at);

create table datasets (
    id            text primary key,
    user_id       text not null references users (id),
    name          text not null,
    original_name text not null,
    object_key    text not null,
    bytes         integer not null,
    sha256        text not null,
    state         text not null,
    checked_bytes integer not null,
    rows          integer not null,
    format        text,
    report        text,
    mapping       text,
    failure       text,
    family_id     text not null,
    version       integer not null,
    sample        text,
    created_at    integer not null,
    updated_at    integer not null,
    unique (family_id, version)
) strict;
create index datasets_newest on datasets (user_id, created_at desc, id desc);
create index datasets_by_file on datasets (user_id, original_name, created_at desc, id desc);
create index datasets_checking on datasets (state, created_at) where state = 'checking';

create table jobs (
    id                text primary key,
    user_id           text not null references users (id),
    name              text not null unique,
    title             text not null,
    notes             text not null,
    spec              text not null,
    state             text not null,
    phase             text not null,
    stop              text,
    step              integer not null,
    total_steps       integer not null,
    attempt           integer not null,
    log_offset        integer not null,
    last_seq          integer not null,
    train_loss        real,
    eval_loss         real,
    tokens_per_second real,
    failure           text,
    next_step         text,
    idempotency_key   text not null,
    -- Nobody holds the job where the owner is null; the epoch only ever grows.
    lease_owner       text,
    lease_until       integer not null,
    lease_epoch       integer not null,
    created_at        integer not null,
    started_at        integer,
    ended_at          integer,
    unique (user_id, idempotency_key)
) strict;
create index jobs_newest on jobs (user_id, created_at desc, id desc);
-- What the queue and the supervisor look at: few rows however many jobs there ever were.
create index jobs_open on jobs (user_id, state) where state not in ('completed', 'failed', 'stopped', 'lost');

create table job_datasets (
    job_id     text not null references jobs (id) on delete cascade,
    dataset_id text not null references datasets (id),
    primary key (job_id, dataset_id)
) strict, without rowid;
create index job_datasets_by_dataset on job_datasets (dataset_id);

create table job_events (
    job_id text not null references jobs (id) on delete cascade,
    seq    integer not null,
    at     integer not null,
    kind   text not null,
    body   text not null,
    primary key (job_id, seq)
) strict, without rowid;
create index job_events_by_kind on job_events (job_id, kind, seq);

-- A model outlives its job: no reference to it.
create table models (
    id            text primary key,
    user_id       text not null references users (id),
    job_id        text not null unique,
    job_name      text not null,
    name          text not null,
    kind          text not null,
    base_name     text not null,
    base          text not null,
    dataset_names text not null,
    train_loss    real,
    eval_loss     real,
    prefix        text not null,
    files         text not null,
    bytes         integer not null,
    created_at    integer not null
) strict;
create index models_newest on models (user_id, created_at desc, id desc);

-- Append-only: the triggers refuse what would change the past.
create table audit (
    id         integer primary key autoincrement,
    at         integer not null,
    actor      text,
    action     text not null,
    object     text not null,
    outcome    text not null,
    ip         text not null,
    request_id text not null
) strict;
create trigger audit_no_update before update on audit
begin
    select raise(abort, 'the audit log is append-only');
end;
create trigger audit_no_delete before delete on audit
begin
    select raise(abort, 'the audit log is append-only');
end;

-- The first schema. Its twin is migrations/sqlite/0001_first.sql: same numbers, same meaning.
-- Ids, and whatever is compared to sort, compare by bytes (collate "C") as SQLite does.
-- Ids are text, times are microseconds since 1970, JSON is text, a truth value is 0 or 1.

create table users (
    id            text collate "C" primary key,
    email         text not null unique,
    full_name     text not null,
    password_hash text not null,
    role          text not null,
    disabled      bigint not null,
    created_at    bigint not null
);
create index users_newest on users (created_at desc, id desc);

create table sessions (
    id           text collate "C" primary key,
    secret_hash  text not null unique,
    user_id      text collate "C" not null references users (id) on delete cascade,
    created_at   bigint not null,
    last_seen_at bigint not null,
    expires_at   bigint not null,
    ip           text not null,
    user_agent   text not null
);
create index sessions_of_user on sessions (user_id, created_at desc, id desc);
create index sessions_by_end on sessions (expires_at);
create index sessions_by_use on sessions (last_seen_at);

create table datasets (
    id            text collate "C" primary key,
    user_id       text collate "C" not null references users (id),
    name          text not null,
    original_name text not null,
    object_key    text not null,
    bytes         bigint not null,
    sha256        text not null,
    state         text not null,
    checked_bytes bigint not null,
    rows          bigint not null,
    format        text,
    report        text,
    mapping       text,
    failure       text,
    family_id     text collate "C" not null,
    version       bigint not null,
    sample        text,
    created_at    bigint not null,
    updated_at    bigint not null,
    unique (family_id, version)
);
create index datasets_newest on datasets (user_id, created_at desc, id desc);
create index datasets_by_file on datasets (user_id, original_name, created_at desc, id desc);
create index datasets_checking on datasets (state, created_at) where state = 'checking';

create table jobs (
    id                text collate "C" primary key,
    user_id           text collate "C" not null references users (id),
    name              text not null unique,
    title             text not null,
    notes             text not null,
    spec              text not null,
    state             text not null,
    phase             text not null,
    stop              text,
    step              bigint not null,
    total_steps       bigint not null,
    attempt           bigint not null,
    log_offset        bigint not null,
    last_seq          bigint not null,
    train_loss        double precision,
    eval_loss         double precision,
    tokens_per_second double precision,
    failure           text,
    next_step         text,
    idempotency_key   text not null,
    -- Nobody holds the job where the owner is null; the epoch only ever grows.
    lease_owner       text,
    lease_until       bigint not null,
    lease_epoch       bigint not null,
    created_at        bigint not null,
    started_at        bigint,
    ended_at          bigint,
    unique (user_id, idempotency_key)
);
create index jobs_newest on jobs (user_id, created_at desc, id desc);
-- What the queue and the supervisor look at: few rows however many jobs there ever were.
create index jobs_open on jobs (user_id, state) where state not in ('completed', 'failed', 'stopped', 'lost');

create table job_datasets (
    job_id     text collate "C" not null references jobs (id) on delete cascade,
    dataset_id text collate "C" not null references datasets (id),
    primary key (job_id, dataset_id)
);
create index job_datasets_by_dataset on job_datasets (dataset_id);

create table job_events (
    job_id text collate "C" not null references jobs (id) on delete cascade,
    seq    bigint not null,
    at     bigint not null,
    kind   text not null,
    body   text not null,
    primary key (job_id, seq)
);
create index job_events_by_kind on job_events (job_id, kind, seq);

-- A model outlives its job: no reference to it.
create table models (
    id            text collate "C" primary key,
    user_id       text collate "C" not null references users (id),
    job_id        text collate "C" not null unique,
    job_name      text not null,
    name          text not null,
    kind          text not null,
    base_name     text not null,
    base          text not null,
    dataset_names text not null,
    train_loss    double precision,
    eval_loss     double precision,
    prefix        text not null,
    files         text not null,
    bytes         bigint not null,
    created_at    bigint not null
);
create index models_newest on models (user_id, created_at desc, id desc);

-- Append-only: the triggers refuse what would change the past.
create table audit (
    id         bigint generated always as identity primary key,
    at         bigint not null,
    actor      text,
    action     text not null,
    object     text not null,
    outcome    text not null,
    ip         text not null,
    request_id text not null
);
create function audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only';
end
$$;
create trigger audit_no_update before update or delete on audit
for each row execute function audit_is_append_only();
create trigger audit_no_truncate before truncate on audit
for each statement execute function audit_is_append_only();

-- Jobs on SageMaker, what they cost, hosted models, accepted licences. Its twin is migrations/sqlite/0004_aws.sql.
-- Amounts of money are millionths of a US dollar.

-- `local` or `sagemaker`; and how the job stands there, as JSON.
alter table jobs add column place text not null default 'local';
alter table jobs add column cloud text;

-- The ledger. No references: a line outlives what it was for.
create table charges (
    id            text primary key,
    user_id       text not null,
    kind          text not null,
    name          text not null,
    instance_type text not null,
    month         text not null,
    estimate      bigint,
    cost          bigint,
    seconds       bigint not null,
    ended         bigint not null,
    updated_at    bigint not null
);
create index charges_of_user on charges (user_id, month);
create index charges_of_month on charges (month);

create table budgets (
    user_id text primary key references users (id) on delete cascade,
    amount  bigint not null
);

-- An endpoint outlives its model's row: it costs until AWS has removed it.
create table endpoints (
    id             text primary key,
    user_id        text not null references users (id),
    model_id       text not null,
    model_name     text not null,
    name           text not null unique,
    instance_type  text not null,
    state          text not null,
    phase          text not null,
    failure        text,
    next_step      text,
    idle_seconds   bigint not null,
    price_per_hour bigint,
    created_at     bigint not null,
    in_service_at  bigint,
    last_used_at   bigint not null,
    ended_at       bigint
);
create index endpoints_newest on endpoints (user_id, created_at desc, id desc);
create index endpoints_open on endpoints (created_at) where state <> 'deleted';

create table licences (
    user_id text not null references users (id) on delete cascade,
    model   text not null,
    version text not null,
    licence text not null,
    at      bigint not null,
    primary key (user_id, model, version)
);

-- Files that come in pieces. Its twin is migrations/sqlite/0002_uploads.sql. The id is that of the dataset to be.

create table uploads (
    id            text collate "C" primary key,
    user_id       text collate "C" not null references users (id) on delete cascade,
    original_name text not null,
    object_key    text not null,
    bytes         bigint not null,
    metadata      text not null,
    created_at    bigint not null,
    expires_at    bigint not null
);
create index uploads_by_end on uploads (expires_at, id);

-- Files that come in pieces. Its twin is migrations/postgres/0002_uploads.sql. The id is that of the dataset to be.

create table uploads (
    id            text primary key,
    user_id       text not null references users (id) on delete cascade,
    original_name text not null,
    object_key    text not null,
    bytes         integer not null,
    metadata      text not null,
    created_at    integer not null,
    expires_at    integer not null
) strict;
create index uploads_by_end on uploads (expires_at, id);

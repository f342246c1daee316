-- A job that failed or was stopped goes on from its checkpoint. Its twin is migrations/sqlite/0002_resume.sql.

-- The step of the checkpoint that was kept when the job ended; 0 where none was.
alter table jobs add column checkpoint_step bigint not null default 0;
-- The first try since the job was started or resumed.
alter table jobs add column first_attempt bigint not null default 1;

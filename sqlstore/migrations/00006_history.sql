-- What session hosts and host pools were like: chunks of points (package history), by the
-- minute for a day and by the hour for a month.

-- +goose Up
create table host_points (
    key    text   collate "binary" not null,
    step   bigint not null, -- nanoseconds between two points
    since  bigint not null, -- start of the chunk
    points text   not null, -- appended to; package history's own form
    constraint host_points_pk primary key (key, step, since),
    constraint host_points_host foreign key (key) references session_hosts (key) on delete cascade
);
create index host_points_by_time on host_points (step, since, key);

create table pool_points (
    key    text   collate "binary" not null,
    step   bigint not null,
    since  bigint not null,
    points text   not null,
    constraint pool_points_pk primary key (key, step, since),
    constraint pool_points_pool foreign key (key) references resources (key) on delete cascade
);
create index pool_points_by_time on pool_points (step, since, key);

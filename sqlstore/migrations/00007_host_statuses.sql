-- When the status of a session host changed, and why.

-- +goose Up
create table host_statuses (
    key    text   collate "binary" not null,
    at     bigint not null,
    status text   not null,
    reason text   not null,
    constraint host_statuses_pk primary key (key, at),
    constraint host_statuses_host foreign key (key) references session_hosts (key) on delete cascade
);
create index host_statuses_by_time on host_statuses (at);

-- Work that goes on after the request that asked for it, and the guests of machines
-- that the service made. Neither goes with its resource: a machine that is being
-- removed is exactly that.

-- +goose Up
create table work (
    key     text   collate "binary" not null, -- the resource's
    kind    text   collate "binary" not null,
    due     bigint not null, -- 0: not until it is woken
    doc     text   not null, -- JSON
    version bigint not null,
    constraint work_pk primary key (key, kind)
);
create index work_by_due on work (due, key, kind);
create index work_by_kind on work (kind, key);

create table guests (
    machine_id text   collate "binary" not null,
    doc        text   not null, -- JSON
    version    bigint not null,
    constraint guests_pk primary key (machine_id)
);

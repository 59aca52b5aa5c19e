-- One text for SQLite and PostgreSQL. The collation "binary" is SQLite's own; on
-- PostgreSQL the store creates it from "C" first, so that keys sort and range the
-- same on both. Instants are nanoseconds since 1970, 0 for none. Keys and GUIDs are
-- in lower case.

-- +goose Up
create table resources (
    key        text   collate "binary" not null,
    id         text   not null, -- the key in its creator's spelling
    type       text   collate "binary" not null,
    tracked    bigint not null, -- 1: has a location, so the generic resource list shows it
    envelope   text   not null, -- JSON
    properties text   not null, -- JSON, as given
    refs       text   not null, -- JSON, or '': read with the row; resource_refs is its index
    version    bigint not null,
    constraint resources_pk primary key (key)
);
create index resources_by_type on resources (type, key);

create table resource_tags (
    key   text collate "binary" not null,
    name  text collate "binary" not null,
    value text collate "binary" not null,
    constraint resource_tags_pk primary key (key, name),
    constraint resource_tags_resource foreign key (key) references resources (key) on delete cascade
);
create index resource_tags_by_name on resource_tags (name, value, key);

create table resource_refs (
    key        text collate "binary" not null,
    relation   text collate "binary" not null,
    target_key text collate "binary" not null,
    constraint resource_refs_pk primary key (key, relation, target_key),
    constraint resource_refs_resource foreign key (key) references resources (key) on delete cascade
);
create index resource_refs_by_target on resource_refs (relation, target_key, key);

create table session_hosts (
    key       text   collate "binary" not null,
    object_id text   collate "binary" not null,
    pool_key  text   collate "binary" not null,
    doc       text   not null, -- JSON
    version   bigint not null,
    constraint session_hosts_pk primary key (key),
    constraint session_hosts_object_id unique (object_id)
);
create index session_hosts_by_pool on session_hosts (pool_key, key);

create table registration_keys (
    id         text   collate "binary" not null,
    pool_key   text   collate "binary" not null,
    pool_id    text   not null,
    pool       text   collate "binary" not null, -- object id
    created_at bigint not null,
    created_by text   not null,
    expires_at bigint not null,
    revoked_at bigint not null,
    uses       bigint not null,
    max_uses   bigint not null, -- 0: no bound
    limits     text   not null, -- JSON
    constraint registration_keys_pk primary key (id)
);
create index registration_keys_by_pool on registration_keys (pool, created_at, id);
create index registration_keys_by_pool_key on registration_keys (pool_key);

create table operations (
    id       text   collate "binary" not null,
    scope    text   not null,
    status   text   not null,
    started  bigint not null,
    ended    bigint not null,
    doc      text   not null, -- JSON
    constraint operations_pk primary key (id)
);

create table audit_events (
    id          text   collate "binary" not null,
    at          bigint not null,
    scope_key   text   collate "binary" not null,
    caller      text   collate "binary" not null, -- lower case
    caller_id   text   collate "binary" not null, -- lower case
    action      text   collate "binary" not null, -- lower case
    doc         text   not null, -- JSON
    constraint audit_events_pk primary key (id)
);
create index audit_events_by_time on audit_events (at, id);
create index audit_events_by_scope on audit_events (scope_key, at, id);
create index audit_events_by_caller on audit_events (caller, at, id);
create index audit_events_by_caller_id on audit_events (caller_id, at, id);

create table settings (
    name text collate "binary" not null,
    doc  text not null, -- JSON
    constraint settings_pk primary key (name)
);

-- One row, written to prove that the store can be.
create table store_checks (
    id bigint not null,
    at bigint not null,
    constraint store_checks_pk primary key (id)
);

-- Who holds which place on a session host, and what came of each connection.

-- +goose Up
create table session_slots (
    host_id    text   collate "binary" not null, -- object id
    user_key   text   collate "binary" not null, -- user principal name in lower case
    connection text   not null, -- '': a session that the host reported of itself
    state      text   not null, -- Pending | Active
    since      bigint not null,
    due        bigint not null, -- 0: nobody is connecting
    constraint session_slots_pk primary key (host_id, user_key),
    constraint session_slots_host foreign key (host_id) references session_hosts (object_id) on update cascade on delete cascade
);
create index session_slots_by_due on session_slots (due) where due > 0;

-- The id is a UUID of version 7: in its order, connections are in the order of time.
create table connections (
    id       text   collate "binary" not null,
    user_key text   collate "binary" not null,
    host_id  text   collate "binary" not null, -- '' when none was found
    pool_key text   collate "binary" not null,
    redeemed bigint not null, -- when its ticket was used; 0: it was not. This is the memory of used tickets
    doc      text   not null, -- JSON
    constraint connections_pk primary key (id)
);
create index connections_by_user on connections (user_key, id);
create index connections_by_host on connections (host_id, id);
create index connections_by_pool on connections (pool_key, id);

-- The embedded directory: tenant, users, groups, service principals and grants.

-- +goose Up
create table directory_tenant (
    slot bigint not null, -- always 1: an installation has one tenant
    doc  text   not null, -- JSON
    constraint directory_tenant_pk primary key (slot)
);

create table directory_objects (
    object_id text collate "binary" not null,
    kind      text collate "binary" not null, -- user | group | servicePrincipal
    place     text collate "binary" not null, -- where lists have it: its name, then its id
    doc       text not null, -- JSON
    constraint directory_objects_pk primary key (object_id)
);
create unique index directory_objects_by_place on directory_objects (kind, place);

-- Names other than the object id under which an object is found, each unique.
create table directory_names (
    kind      text collate "binary" not null, -- userPrincipalName | appId | applicationId
    name      text collate "binary" not null, -- lower case
    object_id text collate "binary" not null,
    constraint directory_names_pk primary key (kind, name),
    constraint directory_names_object foreign key (object_id) references directory_objects (object_id) on delete cascade
);
create index directory_names_by_object on directory_names (object_id);

create table directory_members (
    group_id    text collate "binary" not null,
    member_id   text collate "binary" not null,
    member_kind text not null,
    constraint directory_members_pk primary key (group_id, member_id),
    constraint directory_members_group foreign key (group_id) references directory_objects (object_id) on delete cascade
);
create index directory_members_by_member on directory_members (member_id, group_id);

create table directory_grants (
    kind       text   collate "binary" not null,
    hash       text   collate "binary" not null,
    user_code  text   collate "binary" not null,
    family     text   collate "binary" not null,
    subject    text   collate "binary" not null,
    app_id     text   collate "binary" not null,
    expires_at bigint not null,
    doc        text   not null, -- JSON
    constraint directory_grants_pk primary key (kind, hash)
);
create unique index directory_grants_by_user_code on directory_grants (user_code) where user_code <> '';
create index directory_grants_by_family on directory_grants (family);
create index directory_grants_by_subject on directory_grants (subject);
create index directory_grants_by_app on directory_grants (app_id);
create index directory_grants_by_expiry on directory_grants (expires_at);

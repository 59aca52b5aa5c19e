-- Which gateway relays a connection now, so that what it relayed can be found when it is
-- gone.

-- +goose Up
alter table connections add column relayer text collate "binary" not null default ''; -- '': none, or not any more
create index connections_by_relayer on connections (relayer, id) where relayer <> '';

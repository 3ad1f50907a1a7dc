-- The tables as version 1 made them, and a session in them. They are to be read for ever.
-- TABLE stands for the table's name.
create table TABLE (
    id uuid primary key,
    revision bigint not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    sweep_hour integer not null,
    idle_ms bigint not null,
    absolute_ms bigint not null,
    persistence smallint not null,
    owner text collate "C",
    payload bytea not null
) with (fillfactor = 70);
create index TABLE_owner on TABLE (owner) where owner is not null;
create index TABLE_sweep on TABLE (sweep_hour);
create table TABLE_version (version integer not null);
insert into TABLE_version values (1);
insert into TABLE values (
    '01010101-0101-0101-0101-010101010101',
    3,
    now() - interval '1 hour',
    now() + interval '13 days',
    ceil(extract(epoch from now() + interval '13 days') / 3600)::integer,
    1209600000,
    7776000000,
    1,
    'user-17',
    '\x01a46d82f201fc00081948fd00587ccf010000000107757365722d3137030463617274075b312c322c335d076772c3b6c39f650422343222067669736974730137'
);

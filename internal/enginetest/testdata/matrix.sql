-- A small database with everything that is awkward for a capture: thirty rows of
-- mixed types with nulls, TOASTed values, composite keys, a table without a key.
create type feeling as enum ('happy', 'sad');
create table items(
  id bigint primary key, s smallint, n int, amount numeric(12, 2), wide numeric(38, 10), price numeric, f real, d double precision,
  ok boolean, born date, at timestamptz, ts timestamp, tm time, span interval, u uuid, doc jsonb, raw bytea, tags text[], counts int[],
  feels feeling, name varchar(20), big text);
alter table items alter big set storage external;
insert into items select i, i * 1000, i * 70000000, i * 1.25, -i / 7.0, i::numeric / 3, i / 7.0, i / 7.0, i % 2 = 0, '2024-02-28'::date + i::int,
  '2024-03-31 00:00:00+00'::timestamptz + i * interval '1 hour 1 microsecond', '1969-12-31 12:00:00'::timestamp + i * interval '1 hour', '00:00:00.000001'::time + i * interval '47 minutes',
  i * interval '1 day 1 second', ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, jsonb_build_object('i', i, 'é', repeat('x', i::int)), decode(lpad(to_hex(i), 8, '0'), 'hex'),
  array['a' || i, null, ''], array[i::int, -i::int], case when i % 2 = 0 then 'happy' else 'sad' end::feeling, 'näme ' || i, repeat(i::text || ' big ', 1000)
  from generate_series(1, 29) i;
insert into items(id) values (30);

create table moved(a text, b int, v text, big text, primary key (a, b));
alter table moved alter big set storage external;
insert into moved select 'k' || i % 3, i, 'v' || i, repeat('m' || i, 2000) from generate_series(1, 12) i;

create table entries(id bigint primary key, created_at timestamptz not null, v text, big text);
alter table entries alter big set storage external;
insert into entries select i, '2024-01-01 22:00:00+00'::timestamptz + i * interval '1 hour', 'e' || i, repeat('e' || i, 2000) from generate_series(1, 6) i;

create table loose(a int, t text);
alter table loose replica identity full;
insert into loose values (1, 'x'), (1, 'x'), (2, null);

create table wiped(id int primary key, v text);
insert into wiped select i, 'w' || i from generate_series(1, 5) i;

create table strict(id int primary key, status text, amount numeric(8, 2));
insert into strict values (1, 'new', 1), (2, 'paid', 2.50), (3, 'lost', 3), (4, 'new', 4);

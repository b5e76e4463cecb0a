-- A database that nobody made for undrop: every family of types with the values
-- at its edges, and names, keys and kinds of tables as other people make them.
-- The values here are there when init looks at the tables.
create extension if not exists hstore;
create extension if not exists citext;
create schema odd;
create schema "Sales Data";

create type mood as enum ('happy', 'sad', 'it''s complicated');
create type address as (street text, "Zip Code" int, at timestamptz);
create domain cents as numeric(12, 2) check (value >= 0);
create domain short_text as varchar(10);
create domain int_list as int[];

create table numbers(
  k int primary key, b bool, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision,
  d numeric(12, 2), wide numeric(38, 10), huge numeric(50, 5), free numeric, rounded numeric(5, -2), tiny numeric(3, 5),
  o oid, x8 xid8, m money, dom cents);
insert into numbers values
  (1, true, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308,
   9999999999.99, 9999999999999999999999999999.9999999999, 999999999999999999999999999999999999999999999.99999,
   ('1' || repeat('0', 300) || '.' || repeat('7', 200))::numeric, 12345678 % 9999900, 0.00999, 4294967295, '18446744073709551615', 92233720368547758.07, 9999999999.99),
  (2, false, -32768, -2147483648, -9223372036854775808, -3.4028235e38, -1.7976931348623157e308,
   -9999999999.99, -9999999999999999999999999999.9999999999, -999999999999999999999999999999999999999999999.99999,
   'NaN', -1299, -0.00999, 0, '0', -92233720368547758.08, 0),
  (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
  (4, true, 0, 0, 0, '-0', '-0', 0, 0, 0, 'Infinity', 0, 0, 2147483648, '9223372036854775808', 0, 0.01),
  (5, false, -1, -1, -1, 1e-45, 5e-324, -0.01, 0.0000000001, -0.00001, '-Infinity', 9999900, 0.00001, 1, '1', 0.01, 1),
  (6, false, 1, 1, 1, 0.1, 0.1, 0.10, 1, 1, 1.10, 100, 0.005, 1, '1', 1, 1.5),
  (7, true, 7, 7, 7, 16777217, 9007199254740993, 1.005, 1.00000000005, 1.000005, 1e-400, 149, 0.000005, 7, '7', 7, 7.777);

create table times(
  k int primary key, d date, t time, t3 time(3), tz timetz, ts timestamp, ts3 timestamp(3), tstz timestamptz, iv interval);
insert into times values
  (1, '0001-01-01', '00:00:00', '00:00:00', '00:00:00+14', '0001-01-01 00:00:00', '0001-01-01', '0001-01-01 00:00:00+00', '0'),
  (2, '9999-12-31', '24:00:00', '23:59:59.9996', '24:00:00-12', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.999999+00', '178000000 years'),
  (3, null, null, null, null, null, null, null, null),
  (4, '1970-01-01', '12:34:56.1234567', '12:34:56.7891', '12:00:00.5+05:45', '1969-12-31 23:59:59.9999995', '1999-12-31 23:59:59.9995', '1883-11-18 12:03:58-04:56:02', '1 mon -1 day 00:00:00.000001'),
  (5, '2024-02-29', '23:59:60', '00:00:00.001', '01:02:03.000004-15:59:59', '2024-02-29 00:00:00.000001', '2024-02-29 00:00:00.001', '2024-03-31 02:30:00 Europe/Berlin', '-178000000 years 00:00:01.5'),
  (6, '1582-10-10', '00:00:00.000001', '12:00', '12:00+00', '1500-02-28 00:00:00.1', '1000-01-01 01:01:01.01', '1500-02-28 00:00:00.000001+00', 'P1Y2M3DT4H5M6.789S');

create table old_times(k int primary key, d date, ts timestamp, tstz timestamptz, f8 float8, f4 real, n numeric(6, 2));
insert into old_times values
  (1, 'infinity', 'infinity', 'infinity', 'NaN', 'NaN', 'NaN'), (2, '-infinity', '-infinity', '-infinity', 'Infinity', '-Infinity', 1.5),
  (3, '4713-01-01 BC', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '-Infinity', 'Infinity', -1.5),
  (4, '5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', 1, 1, null), (5, null, null, null, null, null, 0),
  (6, '0001-12-31 BC', '0001-12-31 23:59:59.999999 BC', '10000-01-01 00:00:00+00', 0.30000000000000004, 0.3, 0.3);

create table texts(
  k int primary key, t text, v varchar(20), c char(5), n name, ch "char", ci citext, st short_text, j json, jb jsonb, x xml, m mood, u uuid, b bytea);
insert into texts values
  (1, '', '', '', '', '', '', '', '{}', '{}', '', 'happy', '00000000-0000-0000-0000-000000000000', ''),
  (2, null, null, null, null, null, null, null, null, null, null, null, null, null),
  (3, E'👩‍👩‍👧 e\u0301 é \u200b\u202e "quoted" ''single'' \\ \t\r\n', 'ünïcödé', 'ab', 'Name', 'x', 'CiText', 'short', '{"a": 1, "a": 2,  "b":[1 ,2]}',
   ('{"n": ' || repeat('9', 400) || ', "a": 1, "a": 2, "e": "é👍", "f": 1.10e-5}')::jsonb, '<a href="x">&lt;é</a>', 'it''s complicated', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', '\x00ff00'),
  (4, ' leading and trailing ', '   ', '     ', ' ', ' ', ' ', ' ', 'null', 'null', '<?xml version="1.0"?><a/>', 'sad', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\xdeadbeef'),
  (5, 'null', 'NULL', '<null', '\N', E'\\', '\N', '\N', '"\u0000"', '"\\N"', 'text only', 'happy', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', E'\\x5c4e'),
  (6, E'\\N', E'\\N', E'\\N', E'\\', 'N', E'a\nb', E'a\tb', '  [1, 2.50, 1e5 ]  ', '[1, 2.50, 1e5]', 'a]]&gt;b', 'sad', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', decode(repeat('ff00', 3000), 'hex')),
  (7, repeat('long ', 50000), 'x', 'x', 'x', 'x', 'x', 'x', ('"' || repeat('j', 20000) || '"')::json, ('"' || repeat('k', 20000) || '"')::jsonb, 'x', 'sad', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14', '\x01');

create table others(
  k int primary key, b1 bit, b7 bit(7), vb varbit, vb4 varbit(4), h hstore, r int4range, nr numrange, tr tstzrange, dr daterange, mr int4multirange,
  ip inet, net cidr, mac macaddr, mac8 macaddr8, tv tsvector, tq tsquery, l pg_lsn, p point, ln line, seg lseg, bx box, pa path, po polygon, ci circle, a address,
  rc regclass, jp jsonpath, td tid);
insert into others values
  (1, '0', '0000000', '', '', '', 'empty', 'empty', 'empty', 'empty', '{}', '0.0.0.0/0', '0.0.0.0/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00', '', '', '0/0',
   '(0,0)', '{1,-1,0}', '[(0,0),(1,1)]', '(1,1),(0,0)', '((0,0),(1,1))', '((0,0),(1,1),(1,0))', '<(0,0),1>', row(null, null, null), 'pg_class', '$', '(0,1)'),
  (2, '1', '1010101', '1', '1111', 'a=>1, "b c"=>NULL, "q\"uote"=>"é"', '[1,5]', '(1.5,)', '[2024-01-01 00:00:00+00,infinity)', '[2024-01-01,2024-02-01]', '{[1,3),[7,9)}',
   '2001:db8::1/64', '2001:db8::/32', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', $$'quick':1A 'fox':2,7 'it''s'$$, 'fat & (rat | !cat:*)', 'FFFFFFFF/FFFFFFFF',
   '(1e300,-1e-300)', '{1.5,2.5,-3.5}', '[(1.5,2.5),(-1,1e10)]', '(3,4),(1,2)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(1,0))', '<(1.5,2),3.25>',
   row('1 "Main" St, \ é', 12345, '2024-01-01 00:00:00+00'), 'numbers', '$.a[*] ? (@.b > 1)', '(42,7)'),
  (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
  (4, '1', '1111111', repeat('10', 500)::varbit, '0', 'a=>""', '(,)', '[-1e50,1e50]', '(,2024-01-01)', 'empty', '{(,)}', '192.168.0.1', '10.1.2.3/32', 'ff:ff:ff:ff:ff:ff',
   'ff:ff:ff:ff:ff:ff:ff:ff', 'a:1 b', '!a', '1/2', '(NaN,Infinity)', '{0,1,0}', '[(0,0),(0,0)]', '(0,0),(0,0)', '((0,0))', '((0,0))', '<(0,0),0>', row('', 0, '-infinity'), '-', 'strict $', '(4294967295,65535)');

create table lists(
  k int primary key, i int[], big bigint[], t text[], n numeric[], d numeric(10, 2)[], ts timestamptz[], dt date[], f float8[], b bool[], u uuid[], by bytea[], m mood[],
  h hstore[], r int4range[], a address[], il int_list, j jsonb[], iv interval[], bt bit(3)[]);
insert into lists values
  (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
  (3, '{1,NULL,-2147483648}', '{9223372036854775807}', E'{"",NULL,"NULL",null,"a,b","{x}","q\\"uote","b\\\\slash"," sp ",é👍}', '{1.50,NaN,1e100}', '{1.5,-99999999.99,NULL}',
   '{2024-01-01 00:00:00.000001+00}', '{0001-01-01,9999-12-31}', '{0.1,-0,1e308}', '{t,f,NULL}', '{00000000-0000-0000-0000-000000000000}', E'{"\\\\x00ff",NULL,""}', '{happy,"it''s complicated"}',
   array['a=>1'::hstore, null], '{empty,"[1,5)"}', array[row('a"b,c', 1, null)::address, null], '{1,2}', array['{"a": [1, 2]}'::jsonb, 'null'], '{1 day,NULL}', '{101,000}');

create table nested_lists(k int primary key, i int[], t text[], bounds int[]);
insert into nested_lists values (1, '{{1,2},{3,NULL}}', '{{a,b}}', '[5:6]={7,8}'), (2, '{1}', '{x}', '{1}'), (3, null, null, null), (4, '{{{1}}}', '{{{""}}}', '[-1:0][2:2]={{1},{2}}');

-- Keys.
create table text_key(id text primary key, v int);
insert into text_key values ('', 1), (' ', 2), ('a', 3), ('A', 4), ('é', 5), (E'e\u0301', 6), ('👍', 7), ('a ', 8), (repeat('k', 2000), 9);
create table collated(id text collate "C" primary key, other text collate "und-x-icu", v int);
insert into collated values ('b', 'B', 1), ('B', 'b', 2), ('ß', 'ss', 3);
create table ci_key(id citext primary key, v int);
insert into ci_key values ('Key', 1), ('other', 2);
create table char_key(id char(4) primary key, v int);
insert into char_key values ('a', 1), ('ab', 2), ('', 3);
create table composite_key(a text, b uuid, c date, d numeric(20, 5), e timestamptz, v text, primary key (d, b, a, c, e));
insert into composite_key select 'a' || i, ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, '2024-01-01'::date + i, i + 0.5, '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 microsecond', 'v' || i from generate_series(1, 50) i;
create table numeric_key(id numeric primary key, v int);
insert into numeric_key values (1.5, 1), (1e50, 2), (-0.001, 3), ('NaN', 4);
create table float_key(id float8 primary key, v int);
insert into float_key values (0.1, 1), ('-0', 2);
create table bytes_key(id bytea primary key, v int);
insert into bytes_key values ('', 1), ('\x00', 2), ('\xff00', 3);
create table enum_key(id mood primary key, v int);
insert into enum_key values ('happy', 1), ('it''s complicated', 2);
create table bool_key(id bool, d date, primary key (id, d));
insert into bool_key values (true, '2024-01-01'), (false, '2024-01-01');
create table time_key(id time primary key, v interval);
insert into time_key values ('24:00', '1 day'), ('00:00', '24:00:00');
create table range_key(id int4range primary key, v int);
insert into range_key values ('[1,5)', 1), ('empty', 2);
create table by_index(a int not null, b text not null, v text, id int primary key);
create unique index by_index_ab on by_index(a, b);
alter table by_index replica identity using index by_index_ab;
insert into by_index select i, 'b' || i, 'v', i from generate_series(1, 5) i;
create table full_identity(id int primary key, v text, big text);
alter table full_identity replica identity full;
alter table full_identity alter big set storage external;
insert into full_identity select i, 'v' || i, repeat('x', 5000) from generate_series(1, 5) i;

-- Without a key.
create table no_key(a int, b text);
insert into no_key values (1, 'x'), (1, 'x'), (null, null), (2, '');
create table no_key_full(a int, b text, f float8);
alter table no_key_full replica identity full;
insert into no_key_full values (1, 'x', 1), (1, 'x', 1), (null, null, null), (2, '', '-0');
create table nullable_unique(a int unique, b text);
insert into nullable_unique values (1, 'x'), (null, 'y'), (null, 'y');

-- Shapes.
create table no_rows(id int primary key, v text);
create table no_columns();
create table only_key(id int primary key);
insert into only_key values (1), (2);
create table generated(id int generated always as identity primary key, a int, twice int generated always as (a * 2) stored, label text default 'd');
insert into generated(a) select i from generate_series(1, 10) i;
create table serials(id bigserial primary key, s smallserial, v text);
insert into serials(v) values ('a'), ('b');
create table dropped(id int primary key, gone text, stays text);
insert into dropped values (1, 'g', 's');
alter table dropped drop column gone, add column added int default 42, add column "........pg.dropped.9........" int;
create table parts(id int, at date, v text, primary key (id, at)) partition by range (at);
create table parts_2025 partition of parts for values from ('2025-01-01') to ('2026-01-01');
create table parts_2026 partition of parts for values from ('2026-01-01') to ('2027-01-01') partition by list (id);
create table parts_2026_a partition of parts_2026 for values in (1, 2, 3);
create table parts_2026_rest partition of parts_2026 default;
insert into parts select i, '2025-06-01'::date + i * 60, 'p' || i from generate_series(1, 9) i;
create table vehicle(id int primary key, name text);
create table car(wheels int, primary key (id)) inherits (vehicle);
insert into vehicle values (1, 'boat');
insert into car values (1, 'beetle', 4), (2, 'reliant', 3);
create table toast(id int primary key, small int, big text, doc jsonb, bin bytea);
alter table toast alter big set storage external;
insert into toast select i, i, string_agg(md5((i * 1000 + n)::text), ''), jsonb_build_object('d', string_agg(md5((i * 2000 + n)::text), '')), decode(string_agg(md5((i * 3000 + n)::text), ''), 'hex')
  from generate_series(1, 20) i, generate_series(1, 500) n group by i;
create unlogged table volatile(id int primary key);
insert into volatile values (1);
create view seen as select 1 as one;
create materialized view kept as select 1 as one;
create table stops(id int primary key, v text);
insert into stops values (1, 'a'), (2, 'b');

-- Names.
create table "Payments"(id bigint primary key, "Select" int, "from" text, "MiXed" text);
create table payments(id bigint primary key, "select" int, "FROM" text, "from" text);
create table "PAYMENTS"(id bigint primary key);
insert into "Payments" values (1, 1, 'f', 'm');
insert into payments values (1, 1, 'F', 'f'), (2, 2, 'G', 'g');
insert into "PAYMENTS" values (1);
create table "order"("user" int primary key, "table" text, "_undrop_lsn" text);
insert into "order" values (1, 't', 'mine');
create table "we.ird "" na'me; --"("a.b" int primary key, "c ""d""" text, "e f" text, "g'h" text, "100%" int, "a/b\c" text, "{x}" int, "$1" int, "tab	here" int);
insert into "we.ird "" na'me; --" values (1, 'q', 's', 'a', 100, 'sl', 1, 2, 3);
create table "таблица"("идентификатор" int primary key, "имя" text, "😀" text);
insert into "таблица" values (1, 'имя', 'smile');
create table odd.payments(id bigint primary key, v text);
insert into odd.payments values (1, 'other schema');
create table "Sales Data"."Q1 2024"("Order ID" int primary key, "Net Amount" numeric(10, 2));
insert into "Sales Data"."Q1 2024" values (1, 10.5);

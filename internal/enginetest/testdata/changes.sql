-- What happens to the strange database while undrop streams. Every value that the
-- snapshot brought comes again through the stream.
create function copied(rel regclass) returns void language plpgsql as $$
begin
  execute format('create temp table t as select * from %s where k < 100', rel);
  update t set k = k + 100;
  execute format('insert into %s select * from t', rel);
  drop table t;
end $$;
select copied(t) from unnest(array['numbers', 'times', 'old_times', 'texts', 'others', 'lists', 'nested_lists']) t;
update numbers set b = not b where k < 3;
update numbers set free = '-Infinity', wide = null where k = 104;
update times set ts = ts + interval '1 microsecond' where k = 4;
update old_times set d = '-infinity', f8 = 'NaN' where k = 105;
delete from others where k = 102;
update lists set t = t || '{more}' where k > 2;
update lists set k = 300 where k = 103;

-- Keys change; a key comes back.
update text_key set id = 'changed' where id = '';
update text_key set id = '' where id = 'a';
delete from text_key where id = 'A';
insert into text_key values ('A', 44);
update text_key set v = -v;
update collated set id = 'a' where id = 'ß';
update ci_key set id = 'KEY' where id = 'key';
update ci_key set v = 10 where id = 'kEy';
delete from ci_key where id = 'OTHER';
update char_key set id = 'abcd' where id = 'a';
update char_key set v = 20 where id = 'ab';
update composite_key set e = e + interval '1 hour', v = 'moved' where a in ('a1', 'a2');
update composite_key set v = v || '!' where a > 'a3';
delete from composite_key where a = 'a5';
update numeric_key set id = 1.50 where id = 1.5;
update numeric_key set v = 22 where id = 1e50;
delete from numeric_key where id = 'NaN';
update float_key set v = 3 where id = 0.1;
update float_key set id = 0 where id = '-0';
update bytes_key set id = '\x0000' where id = '\x00';
delete from bytes_key where id = '';
update enum_key set id = 'sad' where id = 'happy';
update bool_key set id = not id, d = d + 1;
update time_key set id = '12:00' where id = '24:00';
update range_key set id = '[5,9)' where id = '[1,5)';
update by_index set v = 'w' where a < 3;
update by_index set b = 'c' where a = 3;
delete from by_index where a = 4;
update full_identity set v = 'new' where id < 3;
update full_identity set id = 33 where id = 3;
delete from full_identity where id = 4;

-- Rows without a key are told apart by all of their values.
insert into no_key values (1, 'x'), (5, 'five');
update no_key set b = 'y' where a is null;
delete from no_key where ctid = (select min(ctid) from no_key where a = 1);
update no_key_full set f = f + 1 where a = 1;
update no_key_full set b = 'null' where a is null;
delete from no_key_full where a = 2;
insert into nullable_unique values (null, 'y'), (7, 'z');
update nullable_unique set b = 'yy' where a is null;
delete from nullable_unique where a = 1;

insert into no_rows values (1, 'first');
insert into only_key values (3);
delete from only_key where id = 1;
update only_key set id = 22 where id = 2;
update generated set a = a + 1 where id < 4;
insert into generated(a) values (100);
update serials set v = 'c' where id = 1;
update dropped set stays = 't', "........pg.dropped.9........" = 9;
insert into parts values (20, '2026-02-02', 'new'), (2, '2026-02-02', 'in a');
update parts set at = '2026-12-31' where id = 1; -- moves to another partition
update parts set v = 'x' where id > 6;
delete from parts where id = 6;
update vehicle set name = name || '!';
delete from car where id = 2;

-- TOASTed values that an UPDATE does not touch are not sent again.
update toast set small = -small where id <= 10;
update toast set small = small + 1 where id <= 5;
update toast set doc = '{"short": true}' where id = 6;
update toast set id = id + 100 where id in (7, 8);
update toast set small = 0 where id = 107;
delete from toast where id = 9;
insert into toast select 9, 1, big, doc, bin from toast where id = 1;
begin;
update toast set small = 50 where id = 10;
update toast set big = 'now short' where id = 10;
update toast set small = 51 where id = 10;
commit;
update texts set n = 'renamed' where k in (7, 107);
update wide set c0 = 2, c1 = null where id = 1;
insert into wide(id, c199) values (3, '{"b": 2}');

-- What is rolled back never happened.
begin;
insert into payments values (99, 9, 'rolled', 'back');
update "Payments" set "Select" = 99;
delete from odd.payments;
rollback;
begin;
insert into payments values (3, 3, 'H', 'h');
savepoint s;
insert into payments values (4, 4, 'rolled', 'back');
update payments set "select" = 0;
rollback to s;
update payments set "from" = 'after savepoint' where id = 3;
commit;

update "Payments" set "MiXed" = 'changed', id = 2;
delete from "PAYMENTS";
insert into "PAYMENTS" values (5);
update "order" set "_undrop_lsn" = 'still mine';
update "we.ird "" na'me; --" set "g'h" = '''', "$1" = "$1" + 1, "tab	here" = null;
update "таблица" set "имя" = 'другое', "😀" = '👍';
update odd.payments set v = v || ' changed';
insert into "Sales Data"."Q1 2024" values (2, -0.01);

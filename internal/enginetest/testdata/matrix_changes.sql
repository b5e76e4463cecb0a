-- What happens while undrop streams. Each statement is a transaction of its own,
-- unless the file says begin.
insert into items select id + 100, s, n, amount, wide, price, f, d, ok, born, at, ts, tm, span, u, doc, raw, tags, counts, feels, name, big from items where id < 5;
update items set n = n + 1 where id <= 10;                  -- big is not sent again
update items set n = n + 1, ok = not ok where id in (1, 103); -- nor this time
update items set big = 'short' where id = 2;
update items set n = 0 where id = 2;
update items set big = null, name = '' where id = 3;
update items set id = 200 where id = 4;                     -- with the big value
update items set n = 1 where id = 200;
delete from items where id in (5, 30);
begin;
delete from items where id = 6;
insert into items(id, name, big) values (6, 'again', repeat('again ', 1000));
update items set n = 66 where id = 6;
commit;
begin;
insert into items(id, name) values (300, 'never seen');
update items set name = 'nor this' where id = 300;
delete from items where id = 300;
delete from items where id = 7;
rollback;
begin;
insert into items(id, name) values (301, 'short life');
update items set id = 302 where id = 301;
delete from items where id = 302;
update items set name = 'two in one' where id = 8;
update items set born = null where id = 8;
savepoint s;
delete from items where id = 8;
rollback to s;
commit;

update moved set a = 'moved', v = v || '!' where b = 1;
update moved set b = b + 100 where a = 'k2';
begin;
update moved set b = 1000 where b = 3;
update moved set b = 3 where b = 6;                         -- takes the key that was just left
update moved set b = 6 where b = 1000;                      -- they have swapped
commit;
begin;
delete from moved where b = 9;
insert into moved values ('k0', 9, 'again', 'small');
delete from moved where b = 9;
commit;

update entries set v = 'changed' where id <= 3;             -- an entry of every change, whole
update entries set id = 60, created_at = '2024-02-01 00:00:00+00' where id = 6;
delete from entries where id = 5;
insert into entries values (7, '2024-02-02 00:00:00+00', null, 'b'), (8, '1969-12-31 23:59:59.999999+00', '', null);
update entries set v = 'twice' where id in (3, 7);

insert into loose values (3, 'three'), (1, 'x');
update loose set t = 'two' where a = 2;
delete from loose where ctid = (select min(ctid) from loose where a = 1);

update wiped set v = 'gone' where id = 1;
begin;
insert into wiped values (6, 'before');
truncate wiped;
insert into wiped values (1, 'after'), (7, 'seven');
update wiped set v = v || '!' where id = 7;
commit;
insert into wiped values (8, 'later');

-- Rows that break the contract: at once, later, and made good again.
insert into strict values (10, 'lost', 10), (11, 'new', 11), (12, 'odd', 12), (13, 'new', 'NaN'), (14, 'paid', 14);
update strict set status = 'lost' where id = 11;
update strict set amount = 12.12 where id = 11;
update strict set status = 'paid' where id = 2;
delete from strict where id = 12;
update strict set status = 'paid' where id = 3;
update strict set status = 'odd' where id = 10;
update strict set id = 140, status = 'lost' where id = 14;
begin;
delete from strict where id = 4;
insert into strict values (4, 'lost', 44);
commit;

package main

import "fmt"

// The backlog: a third each of inserts, updates and deletes; a third each in transactions of 1, 10 and 1000 rows. The table
// has the ordinary types of a dispatch database, about 230 bytes a row.

const pgTable = `CREATE TABLE %s (id bigint PRIMARY KEY, load_no int NOT NULL, descr text, amt numeric(12,2), miles float8, done bool,
	recorded timestamptz, planned timestamp, on_day date, extra jsonb, ref uuid, city varchar(40))`

const pgRow = `g, g %% 90000, 'stop of load ' || g || ' at the terminal in Kansas City', g / 7.0, g * 1.5, true,
	'2026-03-08 14:05:00.123456+00', '2026-03-08 09:05:00', '2026-03-08', '{"dock": 4, "seal": "A-1187"}',
	'0f0e0d0c-0b0a-0908-0706-050403020100', 'Kansas City'`

// pgProcedure makes procedure bench_load(changes), which commits as it goes.
var pgProcedure = fmt.Sprintf(`CREATE PROCEDURE bench_load(total bigint) LANGUAGE plpgsql AS $$
DECLARE done bigint := 0; k bigint := 0; size bigint; i int;
BEGIN
	WHILE done < total LOOP
		FOREACH size IN ARRAY ARRAY[1000, 10, 1] LOOP
			FOR i IN 1..(1000 / size) LOOP
				EXIT WHEN total - done < 3 * size;
				INSERT INTO bench_changes SELECT ` + pgRow + ` FROM generate_series(k, k + size - 1) g;
				COMMIT;
				UPDATE bench_changes SET amt = amt + 1, planned = '2026-03-09 09:05:00' WHERE id >= k AND id < k + size;
				COMMIT;
				DELETE FROM bench_changes WHERE id >= k AND id < k + size;
				COMMIT;
				k := k + size; done := done + 3 * size;
			END LOOP;
		END LOOP;
		IF total - done < 3 THEN
			FOR i IN 1..(total - done) LOOP
				INSERT INTO bench_changes SELECT ` + pgRow + ` FROM generate_series(k, k) g;
				COMMIT;
				k := k + 1; done := done + 1;
			END LOOP;
		END IF;
	END LOOP;
END $$`)

const myTable = `CREATE TABLE %s (id BIGINT PRIMARY KEY, load_no INT NOT NULL, descr TEXT, amt DECIMAL(12,2), miles DOUBLE, done TINYINT(1),
	recorded TIMESTAMP(6) NULL, planned DATETIME(6), on_day DATE, kind ENUM('pickup','delivery'), ref CHAR(36), city VARCHAR(40))`

const myRow = `s.seq, s.seq %% 90000, CONCAT('stop of load ', s.seq, ' at the terminal in Kansas City'), s.seq / 7.0, s.seq * 1.5, 1,
	'2026-03-08 14:05:00.123456', '2026-03-08 09:05:00', '2026-03-08', 'delivery', '0f0e0d0c-0b0a-0908-0706-050403020100', 'Kansas City'`

var (
	tableColumns = []string{"load_no", "descr", "amt", "miles", "done", "recorded", "planned", "on_day"}
	pgColumns    = append([]string{"id", "extra", "ref", "city"}, tableColumns...)
	myColumns    = append([]string{"id", "kind", "ref", "city"}, tableColumns...)
)

// myProcedure makes the table of numbers and procedure bench_load(changes); autocommit makes each statement a transaction.
var myProcedure = fmt.Sprintf(`CREATE PROCEDURE bench_load(total BIGINT)
BEGIN
	DECLARE done, k, size, i BIGINT DEFAULT 0;
	WHILE done < total DO
		SET size = 1000;
		WHILE size > 0 DO
			SET i = 0;
			WHILE i < 1000 DIV size AND total - done >= 3 * size DO
				INSERT INTO bench_changes SELECT ` + myRow + ` FROM (SELECT n + k AS seq FROM bench_numbers WHERE n < size) s;
				UPDATE bench_changes SET amt = amt + 1, planned = '2026-03-09 09:05:00' WHERE id >= k AND id < k + size;
				DELETE FROM bench_changes WHERE id >= k AND id < k + size;
				SET k = k + size, done = done + 3 * size, i = i + 1;
			END WHILE;
			SET size = CASE size WHEN 1000 THEN 10 WHEN 10 THEN 1 ELSE 0 END;
		END WHILE;
		WHILE total - done > 0 AND total - done < 3 DO
			INSERT INTO bench_changes SELECT ` + myRow + ` FROM (SELECT k AS seq) s;
			SET k = k + 1, done = done + 1;
		END WHILE;
	END WHILE;
END`)

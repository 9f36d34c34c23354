package mysql

import (
	"fmt"
	"strings"
	"testing"

	"waybill/cdc"
)

// ddlCorpus runs on the server one by one. After each, what is known of every table must be what information_schema says.
// A line that begins with ? may leave tables unknown; they are taken from information_schema then.
var ddlCorpus = []string{
	"CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), b INT)",
	"ALTER TABLE t ADD c ENUM('p','q') FIRST",
	"ALTER TABLE t MODIFY c ENUM('r','p','q') AFTER id, RENAME COLUMN b TO d",
	"ALTER TABLE t MODIFY a TEXT CHARSET latin1, ADD b BIGINT UNSIGNED",
	"ALTER TABLE t ADD COLUMN (x INT NOT NULL DEFAULT 5, `y,z` DECIMAL(12,3) COMMENT 'a, (b) ''c''', z2 TIMESTAMP(3) NULL)",
	"ALTER TABLE t DROP x, ADD x CHAR(3) AFTER id, DROP COLUMN `y,z`",
	"ALTER TABLE t CHANGE COLUMN a a2 LONGTEXT CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL FIRST",
	"ALTER TABLE t CHANGE a2 a2 VARCHAR(30) BINARY, CHANGE b bb MEDIUMINT(5) UNSIGNED ZEROFILL AFTER c",
	"ALTER TABLE t MODIFY COLUMN IF EXISTS nothere INT, ADD COLUMN IF NOT EXISTS x INT, DROP COLUMN IF EXISTS nothere2, ADD IF NOT EXISTS y INT",
	"alter online table T2.x add q int", // another database, which nobody follows; it fails
	"ALTER TABLE t ADD INDEX (x), ADD UNIQUE KEY u (y), ADD CONSTRAINT ck CHECK (y > 0 AND id IN (1,2,3)), ADD FULLTEXT ft (a2)",
	"ALTER TABLE t DROP CONSTRAINT ck, DROP INDEX u, DROP KEY ft",
	"ALTER TABLE t ALTER COLUMN y SET DEFAULT 7, ALTER x DROP DEFAULT, COMMENT='x, ADD q INT', AUTO_INCREMENT=7 DEFAULT CHARSET=latin2",
	"ALTER TABLE t ADD l2 VARCHAR(9), ADD l3 TEXT COLLATE utf8mb4_german2_ci",
	"ALTER TABLE t CONVERT TO CHARACTER SET latin1",
	"ALTER TABLE t ADD big TINYTEXT, ADD bigger TEXT, ADD biggest MEDIUMTEXT, ADD e ENUM('ä','b'), ADD s SET('x','y')",
	"?ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "ALTER TABLE t DROP e, ADD t1 TINYTEXT CHARSET latin1, ADD t2 TEXT CHARSET latin1, ADD t3 ENUM('x') CHARSET latin1",
	"ALTER TABLE t CONVERT TO CHARSET utf8mb3",
	"ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, c)",
	"ALTER TABLE t ADD g INT AS (id + 1) VIRTUAL, ADD h INT GENERATED ALWAYS AS (id * 2) STORED COMMENT 'x', ADD inv INT INVISIBLE DEFAULT 3",
	"ALTER TABLE t DROP g, DROP h, DROP inv",
	"ALTER TABLE t ADD j JSON, ADD j2 LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin CHECK (json_valid(`j2`)), ADD u UUID DEFAULT UUID(), ADD i6 INET6, ADD i4 INET4",
	"ALTER TABLE t ADD CONSTRAINT ck2 CHECK (id < 5)", "?ALTER TABLE t DROP CONSTRAINT ck2", "ALTER TABLE t MODIFY j2 LONGTEXT, CHANGE u u2 UUID NOT NULL AFTER i4",
	"ALTER TABLE t RENAME t1",
	"ALTER TABLE t1 RENAME TO t, ADD after_rename INT",
	"CREATE INDEX i1 ON t (x)", "CREATE UNIQUE INDEX IF NOT EXISTS i2 ON t (id, x)", "DROP INDEX i1 ON t", "ALTER TABLE t RENAME INDEX i2 TO i3",
	"CREATE TABLE ghost LIKE t",
	"ALTER TABLE ghost ADD COLUMN gh BIGINT NOT NULL DEFAULT 0 AFTER id",
	"RENAME TABLE t TO old, ghost TO t",
	"RENAME TABLE t TO swap, old TO t, swap TO old",
	"DROP TABLE IF EXISTS old, nothere",
	"CREATE TABLE IF NOT EXISTS t (id INT)",
	"CREATE OR REPLACE TABLE k (a INT KEY, b SERIAL, c BOOL, d DEC(5), e FIXED, f NUMERIC(7,2), g REAL, h DOUBLE PRECISION, i FLOAT(10), j FLOAT(30), k FLOAT(5,2), l INT1, m MIDDLEINT, n INT8 UNSIGNED, o YEAR)",
	"CREATE TABLE n (a NATIONAL CHAR(5), b NCHAR VARYING(6), c NVARCHAR(7), d CHARACTER VARYING(8), e LONG, f LONG VARBINARY, g CHAR BYTE, h VARCHAR(9) CHARACTER SET binary, i TEXT(100), j TEXT(70000), k BLOB(300), l CHAR, m BIT, n BINARY, o TEXT ASCII, p CHAR(4) UNICODE, q LONG VARCHAR, PRIMARY KEY USING BTREE (a(3), l))",
	"CREATE TABLE o (`a``b` INT PRIMARY KEY, `select` INT, v VARCHAR(9) DEFAULT 'x)y' COLLATE latin1_bin, w DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), KEY (`select`), CONSTRAINT fk FOREIGN KEY (`select`) REFERENCES k (a) ON DELETE SET NULL ON UPDATE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=cp1251 COLLATE cp1251_bin COMMENT='it''s, (x)' ROW_FORMAT=DYNAMIC /* end */",
	"CREATE TABLE part (id INT, at DATE, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN MAXVALUE)",
	"ALTER TABLE part REORGANIZE PARTITION p1 INTO (PARTITION p1 VALUES LESS THAN (2030), PARTITION p2 VALUES LESS THAN MAXVALUE)",
	"ALTER TABLE part DROP PARTITION p0, p1", "ALTER TABLE part ADD x INT, ALGORITHM=INSTANT, LOCK=NONE", "ALTER TABLE part REMOVE PARTITIONING",
	"ALTER TABLE part ENGINE=MyISAM, FORCE", "ALTER TABLE part ENGINE InnoDB PAGE_COMPRESSED=1",
	"ALTER DATABASE %s CHARACTER SET = latin1", "CREATE TABLE deflt (a VARCHAR(5) PRIMARY KEY, b TEXT)", "ALTER TABLE deflt ADD c CHAR(4), DEFAULT CHARACTER SET utf8mb4",
	"ALTER DATABASE %s COLLATE utf8mb4_general_ci",
	"CREATE TABLE z (a INT PRIMARY KEY, b VARCHAR(900) COMPRESSED, p POINT NOT NULL, /*!50001 c INT, */ /*M!100100 d INT, */ /*!80000 e INT, */ f INT -- x INT,\n # y INT,\n)",
	"ALTER TABLE z /* ADD no INT, */ WAIT 5 ADD yes INT, DROP /*!99999 p */ b",
	"CREATE TABLE w (a INT PRIMARY KEY, b TINYINT UNSIGNED ZEROFILL NOT NULL DEFAULT 5 CHECK (b < 7), c TIME(2), d SET('a''b','c\\\\d','e\\tf') DEFAULT 'a''b,e\\tf')",
	"ALTER TABLE w ADD CONSTRAINT `PRIMARY` UNIQUE (b)", // the server refuses it
	"ALTER TABLE w DROP PRIMARY KEY, ADD PRIMARY KEY (b)",
	"ALTER TABLE w ADD FOREIGN KEY (a) REFERENCES k (a), ADD COLUMN period INT, ADD vector INT, ADD `key` INT, ADD `unique` INT AFTER `key`",
	"ALTER TABLE w RENAME COLUMN c TO d, RENAME COLUMN d TO c", "ALTER TABLE w CHANGE c d TIME(2), CHANGE d c SET('x') AFTER a, MODIFY b INT FIRST",
	"DROP TABLE w, z",
	"?CREATE TABLE copied SELECT * FROM deflt", "?ALTER TABLE k ADD SYSTEM VERSIONING", "?CREATE TABLE nokey (a INT NOT NULL UNIQUE)", "?ALTER TABLE nokey ADD b INT, ORDER BY a",
	"CREATE VIEW vw AS SELECT 1", "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.x = 1", "CREATE PROCEDURE pr() ALTER TABLE t ADD no INT", "DROP PROCEDURE pr",
	"CREATE SEQUENCE sq", "DROP SEQUENCE sq", "ANALYZE TABLE t", "OPTIMIZE TABLE t", "TRUNCATE t", "CREATE TEMPORARY TABLE t (other INT)", "DROP TEMPORARY TABLE t",
}

// TestDDL follows statements and asks the server whether it has come to the same.
func TestDDL(t *testing.T) {
	db := database(t, server)
	src := New(config(server, db), nil, quiet())
	side, err := src.cfg.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer side.close()
	h := &history{flavor: MariaDB, selected: map[cdc.Table]*selected{}, tables: map[cdc.Table]*definition{{Schema: db}: {info: &tableInfo{charset: "utf8mb4"}}}, databases: map[string]bool{db: true}}
	server.DB.SetMaxOpenConns(1) // for the temporary table
	defer server.DB.SetMaxOpenConns(0)
	server.Exec(t, "USE "+db)
	for _, statement := range ddlCorpus {
		statement, open := strings.CutPrefix(statement, "?")
		if strings.Contains(statement, "%s") {
			statement = fmt.Sprintf(statement, db)
		}
		if _, err := server.DB.Exec(statement); err != nil {
			if statement != "alter online table T2.x add q int" && !strings.Contains(statement, "`PRIMARY` UNIQUE") {
				t.Fatalf("%v\nin %s", err, statement)
			}
			continue // it is not in the log
		}
		changes, err := parseDDL(statement, db, MariaDB, 0)
		if err != nil && !open {
			t.Fatalf("%s: %v", statement, err)
		}
		if err != nil {
			h.missed(statement, err.Error())
		}
		for i := range changes {
			h.apply(&changes[i], "it")
		}
		compareHistory(t, h, side, db, statement, open)
	}
}

// compareHistory compares every table that there is.
func compareHistory(t *testing.T, h *history, side *conn, db, statement string, open bool) {
	t.Helper()
	there := texts(t, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA='"+db+"' AND TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED')")
	for _, name := range there {
		table := cdc.Table{Schema: db, Name: name}
		want, err := side.describe(t.Context(), table, true)
		if err != nil {
			t.Fatal(err)
		}
		d := h.tables[table]
		if open && (d == nil || d.info == nil) {
			h.tables[table] = &definition{info: want}
			continue
		}
		if d == nil || d.info == nil {
			t.Fatalf("%s: %s is not known: %+v", statement, name, d)
		}
		if got, want := shapeOf(d.info), shapeOf(want); got != want {
			t.Fatalf("%s\n%s is taken for\n%s\nthe server has\n%s", statement, name, got, want)
		}
		// As it is after a restart.
		record := d.record(table, "mariadb/1/b.1:4/")
		back, err := restored(&record, MariaDB)
		if err != nil || shapeOf(back.info) != shapeOf(want) {
			t.Fatalf("%s: %s came back as\n%s (%v)", statement, name, shapeOf(back.info), err)
		}
	}
	for table := range h.tables {
		if table.Name != "" && len(h.tables[table].why) == 0 && !contains(there, table.Name) {
			t.Fatalf("%s: %s is not there any more", statement, table)
		}
	}
}

func contains(list []string, s string) bool {
	return strings.Contains("\n"+strings.Join(list, "\n")+"\n", "\n"+s+"\n")
}

// shapeOf writes all that matters of a definition.
func shapeOf(info *tableInfo) string {
	var out strings.Builder
	out.WriteString("default " + info.charset + "\n")
	for i := range info.columns {
		c := &info.columns[i]
		kind, metadata, told := c.logged()
		fmt.Fprintf(&out, "%+v %d %d %v null=%v\n", c.captured(), kind, metadata, told, c.nullable)
	}
	return out.String()
}

// TestDDLTypes declares every type of the golden table and compares as TestDDL does.
func TestDDLTypes(t *testing.T) {
	db := database(t, server)
	src := New(config(server, db), nil, quiet())
	side, err := src.cfg.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer side.close()
	h := &history{flavor: MariaDB, selected: map[cdc.Table]*selected{}, tables: map[cdc.Table]*definition{{Schema: db}: {info: &tableInfo{charset: "utf8mb4"}}}, databases: map[string]bool{db: true}}
	for _, row := range typeRows {
		statement := "CREATE OR REPLACE TABLE " + db + ".t (id INT PRIMARY KEY, v " + row.column + ")"
		server.Exec(t, statement)
		changes, err := parseDDL(statement, "", MariaDB, 0)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		h.apply(&changes[0], "it")
		compareHistory(t, h, side, db, statement, false)
	}
}

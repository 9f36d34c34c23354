package mysql

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"waybill/cdc"
)

var update = flag.Bool("update", false, "write the golden files anew")

// typeRows is one table for each row of TYPES.md: the column's declaration and the values put into it.
var typeRows = []struct{ column, values string }{
	{"tinyint", "-128|127|0|NULL"},
	{"tinyint unsigned", "0|255"},
	{"tinyint(1)", "0|1"},
	{"smallint", "-32768|32767"},
	{"smallint unsigned", "65535"},
	{"mediumint", "-8388608|8388607"},
	{"mediumint unsigned", "16777215"},
	{"int", "-2147483648|2147483647"},
	{"int unsigned", "4294967295"},
	{"int(6) unsigned zerofill", "42"},
	{"bigint", "-9223372036854775808|9223372036854775807"},
	{"bigint unsigned", "18446744073709551615"},
	{"year", "1901|2155|0"},
	{"decimal(12,2)", "1150.00|-0.05|0|9999999999.99|-9999999999.99"},
	{"decimal(5,5)", "0.12345|-0.00001"},
	{"decimal(10,0)", "-1234567890|7"},
	{"decimal(10,2) unsigned zerofill", "12.5"},
	{"decimal(65,30)", "12345678901234567890123456789012345.123456789012345678901234567891"},
	{"float", "3.14|-1e-7|16777217|3.4e38|0|1e21"},
	{"float(7,2)", "12345.68"},
	{"double", "0.1|-2.5e-300|1.7976931348623157e308|123456789.123456789|1e21"},
	{"double(10,2)", "1.1"},
	{"char(5)", "'a'|'ü € '|''"},
	{"char(100)", "'long enough for two bits of length'"},
	{"varchar(40)", "'plain'|'ü€😀'|''|' two '"},
	{"varchar(300)", "'two bytes of length'"},
	{"varchar(20) charset latin1", "'Zürich €'|x'81'|x'e9'"},
	{"char(9) charset latin1", "'Zürich'"},
	{"varchar(20) charset utf8mb3", "'ü€'"},
	{"varchar(20) charset ascii", "'ascii'"},
	{"varchar(20) charset latin2", "'Łódź'"},
	{"varchar(20) charset cp1251", "'Москва'"},
	{"varchar(20) collate utf8mb4_uca1400_as_cs", "'ü'"},
	{"tinytext", "'ü'"},
	{"text", "'ü'|''"},
	{"mediumtext", "'ü'"},
	{"longtext", "'ü'"},
	{"text charset latin1", "'é'"},
	{"binary(4)", "x'ab00'|x'00000000'|x'ab20cd00'"},
	{"binary(16)", "x'11223344556677889900aabbccddee00'"},
	{"varbinary(8)", "x'ab00'|x''"},
	{"blob", "x'00ff'"},
	{"longblob", "x'00ff00'"},
	{"date", "'2026-03-08'|'0001-01-01'|'9999-12-31'|'0000-00-00'|'2026-00-10'"},
	{"time", "'14:05:00'|'00:00:00'|'23:59:59'|'24:00:00'|'-01:00:00'"},
	{"time(3)", "'14:05:00.120'|'14:05:00'|'-00:00:00.5'"},
	{"time(6)", "'14:05:00.000001'|'838:59:59'"},
	{"datetime", "'2026-03-08 14:05:00'|'0000-00-00 00:00:00'"},
	{"datetime(1)", "'2026-03-08 14:05:00.5'"},
	{"datetime(6)", "'2026-03-08 14:05:00.100000'|'2026-03-08 14:05:00.000001'|'2026-03-08 14:05:00'"},
	{"timestamp null", "'2026-03-08 14:05:00'|'0000-00-00 00:00:00'|'2038-01-19 03:14:07'"},
	{"timestamp(4) null", "'2026-03-08 14:05:00.12'"},
	{"timestamp(6) null", "'2026-03-08 14:05:00.000100'"},
	{"enum('open','näh''er','')", "'open'|'näh''er'|''|'other'"},
	{"enum('é','b') charset latin1", "'é'|'b'"},
	{"uuid", "'11223344-5566-7788-99AA-bbccddeeff00'"},
	{"json", "'{\"a\": [1, 2.50], \"ü\": null}'"},
}

// TestTypes holds every row of TYPES.md against a real server: the snapshot and the stream must give the same value, and
// the golden file says which.
func TestTypes(t *testing.T) {
	db := database(t, server)
	const insert = "SET STATEMENT sql_mode='' FOR INSERT INTO "
	var selection []cdc.Selection
	var ddl, dml strings.Builder
	for i, row := range typeRows {
		table := db + ".t" + itoa(i)
		ddl.WriteString("CREATE TABLE " + table + " (id INT PRIMARY KEY AUTO_INCREMENT, v " + row.column + ");")
		for v := range strings.SplitSeq(row.values, "|") {
			dml.WriteString(insert + table + " (v) VALUES (" + v + ");")
		}
		selection = append(selection, pick("t"+itoa(i), "v"))
	}
	server.Exec(t, ddl.String())
	server.Exec(t, dml.String())
	f := follow(t, config(server, db), selection...).open()
	n := 0
	for _, row := range typeRows {
		n += strings.Count(row.values, "|") + 1
	}
	snapshot := f.until(n)
	for i := range typeRows {
		server.Exec(t, "DELETE FROM "+db+".t"+itoa(i))
	}
	stream := f.until(2 * n)[n:]
	kind := map[string]string{} // by the table's suffix
	for _, schema := range f.schemas {
		kind[schema.Table.Name[1:]] = schema.Columns[schema.Column("v")].Kind.String()
	}
	var golden strings.Builder
	at := 0
	for i, row := range typeRows {
		for v := range strings.SplitSeq(row.values, "|") {
			_, a, _ := strings.Cut(snapshot[at], " v=")
			_, b, _ := strings.Cut(stream[at], " v=")
			if a != b {
				t.Errorf("%s %s: the snapshot gives %q, the stream %q", row.column, v, a, b)
			}
			golden.WriteString(row.column + "\t" + kind[itoa(i)] + "\t" + v + "\t" + strconv.Quote(b) + "\n")
			at++
		}
	}
	compareGolden(t, "types.golden", golden.String())
}

func itoa(i int) string { return string([]byte{byte('a' + i/10), byte('0' + i%10)}) }

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

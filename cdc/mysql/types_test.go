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
	{"bit(1)", "b'1'|b'0'"},
	{"bit(10)", "b'1000000001'|0"},
	{"bit(64)", "b'1000000000000000000000000000000000000000000000000000000000000001'|18446744073709551615"},
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
	{"varchar(9) charset ucs2", "'ü€ '"},
	{"char(9) charset utf16", "'ü😀'|'  x  '"},
	{"text charset utf16le", "'ü😀'"},
	{"varchar(9) charset utf32", "'ü😀'"},
	{"varchar(9) charset gbk", "'中文'"},
	{"varchar(9) charset cp932", "'日本ﾃ'"},
	{"varchar(9) charset euckr", "'한국'"},
	{"varchar(9) charset macroman", "'ü'"},
	{"enum('é','') charset utf16", "'é'|''"},
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
	{"date", "'2026-03-08'|'0001-01-01'|'9999-12-31'|'0000-00-00'|'2026-00-10'|'2026-02-30'|'0000-01-01'"},
	{"time", "'14:05:00'|'00:00:00'|'23:59:59'|'24:00:00'|'-01:00:00'"},
	{"time(3)", "'14:05:00.120'|'14:05:00'|'-00:00:00.5'"},
	{"time(6)", "'14:05:00.000001'|'838:59:59'"},
	{"time(1)", "'14:05:00.1'|'-838:59:59.9'"},
	{"time(2)", "'-14:05:00.25'|'-00:00:00.01'"},
	{"time(4)", "'-14:05:00.0625'"},
	{"time(5)", "'-1:00:00.00001'"},
	{"datetime", "'2026-03-08 14:05:00'|'0000-00-00 00:00:00'|'2026-03-00 01:02:03'|'2026-02-31 10:00:00'"},
	{"datetime(2)", "'2026-03-08 14:05:00.25'"},
	{"datetime(3)", "'0000-00-00 00:00:00.125'"},
	{"datetime(4)", "'2026-03-08 14:05:00.0625'"},
	{"datetime(5)", "'2026-03-08 14:05:00.00001'"},
	{"datetime(1)", "'2026-03-08 14:05:00.5'"},
	{"datetime(6)", "'2026-03-08 14:05:00.100000'|'2026-03-08 14:05:00.000001'|'2026-03-08 14:05:00'"},
	{"timestamp null", "'2026-03-08 14:05:00'|'0000-00-00 00:00:00'|'2038-01-19 03:14:07'"},
	{"timestamp(1) null", "'2026-03-08 14:05:00.5'"},
	{"timestamp(2) null", "'1970-01-01 00:00:01.25'"},
	{"timestamp(3) null", "'2026-03-08 14:05:00.125'"},
	{"timestamp(5) null", "'2026-03-08 14:05:00.00001'"},
	{"timestamp(4) null", "'2026-03-08 14:05:00.12'"},
	{"timestamp(6) null", "'2026-03-08 14:05:00.000100'"},
	{"enum('open','näh''er','')", "'open'|'näh''er'|''|'other'"},
	{`enum('a\\b','c\nd')`, `'a\\b'|'c\nd'`},
	{"enum('open','done')", "'done'|'other'|''"},
	{"enum('é','b') charset latin1", "'é'|'b'"},
	{"set('a','näh''er','')", "'a,näh''er'|''|'a,'|'a'|'other'|NULL"},
	{"set('é','b') charset latin1", "'é,b'"},
	{"set(" + manyLabels(64) + ")", "'l0,l63'|18446744073709551615"},
	{"set(" + manyLabels(17) + ")", "'l16'"},
	{"enum(" + manyLabels(300) + ")", "'l0'|'l299'"},
	{"uuid", "'11223344-5566-7788-99AA-bbccddeeff00'|'6ccd780c-baba-1026-9564-5b8c656024db'|'0189f7e4-1c2b-7abc-8def-0123456789ab'|'f47ac10b-58cc-4372-a567-0e02b2c3d479'|'00000000-0000-0000-0000-000000000000'"},
	{"inet4", "'10.0.0.0'|'0.0.0.0'|'255.255.255.255'"},
	{"inet6", "'2001:db8::'|'::'|'::ffff:1.2.3.4'|'::1.2.3.4'|'1:0:0:2::3'|'2001:DB8:0:0:1:0:0:1'"},
	{"json", "'{\"a\": [1, 2.50], \"ü\": null}'"},
}

// TestTypes holds every row of TYPES.md against a real server: the snapshot and the stream must give the same value, and
// the golden file says which.
func TestTypes(t *testing.T) {
	db := database(t, server)
	const insert = "SET STATEMENT sql_mode='ALLOW_INVALID_DATES' FOR INSERT INTO "
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

func manyLabels(n int) string {
	labels := make([]string, n)
	for i := range labels {
		labels[i] = "'l" + strconv.Itoa(i) + "'"
	}
	return strings.Join(labels, ",")
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

package file

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill/cdc"
)

// Config is a folder with files of events.
type Config struct {
	// The folder, relative to waybill.yaml. It is made when it is not there. Needed.
	Folder string `yaml:"folder"`
	// jsonl (default), an event a line as CloudEvents 1.0; or csv.
	Format string `yaml:"format"`
	// Of csv, in order: id, type, source, subject, time, entity, key, company, lane, order_key, recorded_at, sequence, or a field of the
	// event's data: data.pieces, data.amount.currency. Written in the first line.
	Columns []string `yaml:"columns"`
	// Between the columns of csv. Default ",".
	Separator string `yaml:"separator"`
	// Size from which a file is closed. Default 64MiB.
	MaxBytes cdc.Bytes `yaml:"max_bytes"`
	// Time after which a file that has something is closed. Default 1h.
	MaxAge time.Duration `yaml:"max_age"`
	// A file is closed when the day ends there: America/Chicago. Left out, days do not matter.
	Day string `yaml:"day"`
	// Whether a line about each closed file is written to <topic>.manifest.jsonl: its name, records, bytes and SHA-256. Default false.
	Manifest bool `yaml:"manifest"`
}

// The formats.
const (
	JSONLines = "jsonl"
	CSV       = "csv"
)

var ownColumns = []string{"id", "type", "source", "subject", "time", "entity", "key", "company", "lane", "order_key", "recorded_at", "sequence"}

var dataColumn = regexp.MustCompile(`^data(\.[A-Za-z_][A-Za-z0-9_]*)+$`)

func (c Config) withDefaults() Config {
	if c.Format == "" {
		c.Format = JSONLines
	}
	if c.Separator == "" {
		c.Separator = ","
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 64 << 20
	}
	if c.MaxAge == 0 {
		c.MaxAge = time.Hour
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, found any, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, fmt.Sprint(found), want))
	}
	if c.Folder == "" {
		bad("folder", "", "a folder on a durable volume")
	}
	if !slices.Contains([]string{"", JSONLines, CSV}, c.Format) {
		bad("format", c.Format, "jsonl or csv")
	}
	if c.Format == CSV && len(c.Columns) == 0 {
		bad("columns", "", "the columns of the file, such as [id, time, key, data.pieces]")
	}
	if c.Format != CSV && len(c.Columns) > 0 {
		bad("columns", strings.Join(c.Columns, ", "), "format: csv beside them")
	}
	for _, col := range c.Columns {
		if !slices.Contains(ownColumns, col) && !dataColumn.MatchString(col) {
			bad("columns", col, strings.Join(ownColumns, ", ")+", or data.<field>")
		}
	}
	if c.Separator != "" && (len(c.Separator) != 1 || strings.Contains("\"\r\n", c.Separator)) {
		bad("separator", c.Separator, `one character such as "," or ";"`)
	}
	if c.MaxBytes < 0 || c.MaxBytes > 1<<40 {
		bad("max_bytes", c.MaxBytes, "a size up to 1TiB, or 0 for the default")
	}
	if c.MaxAge < 0 || c.MaxAge > 366*24*time.Hour {
		bad("max_age", c.MaxAge, "a duration up to 8784h, or 0 for the default")
	}
	if c.Day != "" {
		if _, err := time.LoadLocation(c.Day); err != nil || c.Day == "Local" {
			bad("day", c.Day, "a name of the IANA time zone database, such as America/Chicago")
		}
	}
	return errors.Join(errs...)
}

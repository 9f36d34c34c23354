package mysql

import (
	"encoding/base64"
	"fmt"
	"slices"

	"waybill/cdc"
)

// resolver finds out what the columns of a Table_map event are, from the event itself and from what is known of the table at
// that place of the log. Where the two leave a doubt the rows are kept and held, never guessed (Invariant 10).
type resolver struct {
	source   string
	flavor   string
	charsets map[uint32]string // by collation id
	bin      uint32            // id of utf8mb4_bin, the collation of MariaDB's JSON
}

// doubt says why a table's columns are not known for certain.
type doubt struct{ reason string }

func (d *doubt) Error() string { return d.reason }

// known is what there is to know of a table beside its Table_map event.
type known struct {
	info    *tableInfo // nil when nothing is known
	certain bool       // it is the table as it was when the row was written
	fresh   bool       // it is, but for a statement in the moment between the source's beginning and the question
	why     string     // why not
}

// columns returns every column of the event. at is when the event was written, in seconds since 1970; wanted tells the columns
// that must be certain.
func (r *resolver) columns(m *tableMap, k known, at int64, wanted func(name string) bool) ([]cdc.Column, error) {
	if !m.named {
		return r.byPlace(m, k, at)
	}
	out := make([]cdc.Column, len(m.columns))
	current := k.certain || k.info != nil && k.info.created > 0 && k.info.created <= at
	for i := range m.columns {
		mc := &m.columns[i]
		var ci *columnInfo
		if k.info != nil {
			ci = k.info.column(mc.name)
		}
		agrees := ci != nil && r.agrees(mc, ci, k.certain)
		if err := oldTemporal(mc, ci); err != nil {
			return nil, err
		}
		var err error
		switch {
		case agrees && (current || !r.ambiguous(mc)):
			out[i] = ci.captured()
		case r.ambiguous(mc) && !mc.key && !wanted(mc.name):
			out[i] = r.unread(mc)
		case r.ambiguous(mc):
			return nil, &doubt{fmt.Sprintf("column %s may be one of several types that the log does not tell apart, and %s", mc.name, k.reason())}
		default:
			if out[i], err = r.fromMap(mc); err != nil && !mc.key && !wanted(mc.name) {
				out[i], err = r.unread(mc), nil
			}
		}
		if err != nil {
			return nil, &doubt{fmt.Sprintf("column %s: %v", mc.name, err)}
		}
		out[i].Key, out[i].NotNull = mc.key, !mc.nullable
		if len(mc.labels) > 0 && (out[i].Kind == cdc.KindEnum || out[i].Kind == cdc.KindArray) {
			if out[i].Labels, err = r.labels(mc); err != nil {
				return nil, &doubt{fmt.Sprintf("column %s: %v", mc.name, err)}
			}
		}
	}
	return out, nil
}

// unread makes a column that nobody reads and that the event does not tell enough of.
func (r *resolver) unread(mc *mapColumn) cdc.Column {
	return cdc.Column{Name: mc.name, Type: fmt.Sprintf("type code %d", mc.kind), Meta: meta{kind: mc.kind, meta: mc.meta}.String()}
}

func (k *known) reason() string {
	if k.info == nil {
		return k.why
	}
	return "the table was changed since"
}

// byPlace serves a log without column names: the definition must agree column by column.
func (r *resolver) byPlace(m *tableMap, k known, at int64) ([]cdc.Column, error) {
	const need = " (binlog_row_metadata=FULL puts names into the log)"
	switch {
	case k.info == nil, !k.certain && (!k.fresh || k.info.created == 0 || k.info.created > at):
		return nil, &doubt{"the log has no column names, and " + k.why + need}
	case len(k.info.columns) != len(m.columns):
		return nil, &doubt{fmt.Sprintf("the log has no column names and %d columns, the table has %d%s", len(m.columns), len(k.info.columns), need)}
	}
	out := make([]cdc.Column, len(m.columns))
	for i := range m.columns {
		mc, ci := &m.columns[i], &k.info.columns[i]
		if err := oldTemporal(mc, ci); err != nil {
			return nil, err
		}
		if !r.agrees(mc, ci, k.certain) {
			return nil, &doubt{fmt.Sprintf("the log has no column names and column %d is not of the type of %s%s", i+1, ci.name, need)}
		}
		out[i] = ci.captured()
		out[i].NotNull = !mc.nullable
	}
	return out, nil
}

// oldTemporal refuses the temporal types of before MariaDB 10.1 with a fraction: their width is not in the log.
func oldTemporal(mc *mapColumn, ci *columnInfo) error {
	switch mc.kind {
	case tTimestamp, tDatetime, tTime:
		if ci == nil || ci.fraction > 0 {
			return fmt.Errorf("column %s has a temporal type in the old format, whose rows cannot be read: run ALTER TABLE … FORCE with mysql56_temporal_format=ON", mc.name)
		}
	}
	return nil
}

// agrees reports whether the column's type can be the one of the event. Whether it is nullable counts only where the definition
// may be of another time: statements may leave that to settings of the server.
func (r *resolver) agrees(mc *mapColumn, ci *columnInfo, certain bool) bool {
	kind, metadata, told := ci.logged()
	switch mc.kind {
	case tTimestamp, tDatetime, tTime: // the old formats, without a fraction
		old := map[byte]byte{tTimestamp: tTimestamp2, tDatetime: tDatetime2, tTime: tTime2}
		if kind != old[mc.kind] {
			return false
		}
		told = false
	default:
		if kind != mc.kind || ci.zipped {
			return false
		}
	}
	if told && metadata != mc.meta || !certain && mc.nullable != ci.nullable {
		return false
	}
	if mc.signKnown && mc.numeric() && mc.kind != tYear && mc.unsigned != ci.unsigned {
		return false
	}
	if mc.collation == 0 || mc.collation == binaryCharset {
		return ci.charset == "" || mc.collation == 0
	}
	return r.charsets[mc.collation] == ci.charset
}

// ambiguous reports whether several types look the same in the log: BINARY, UUID and INET6; LONGTEXT and JSON.
func (r *resolver) ambiguous(mc *mapColumn) bool {
	if r.flavor != MariaDB {
		return false
	}
	return mc.kind == tString && mc.collation == binaryCharset && (mc.meta == 16 || mc.meta == 4) ||
		mc.kind == tBlob && mc.meta == 4 && mc.collation == r.bin
}

// fromMap makes a column from the event alone.
func (r *resolver) fromMap(mc *mapColumn) (cdc.Column, error) {
	m := meta{kind: mc.kind, meta: mc.meta, unsigned: mc.unsigned}
	out := cdc.Column{Name: mc.name, NotNull: !mc.nullable}
	sign := ""
	if mc.unsigned {
		sign = " unsigned"
	}
	charset := r.charsets[mc.collation]
	switch mc.kind {
	case tTiny, tShort, tInt24, tLong, tLongLong:
		names := map[byte]string{tTiny: "tinyint", tShort: "smallint", tInt24: "mediumint", tLong: "int", tLongLong: "bigint"}
		out.Kind, out.Type = cdc.KindInt, names[mc.kind]+sign
	case tYear:
		out.Kind, out.Type, m.unsigned = cdc.KindInt, "year", false
	case tDecimal:
		out.Kind, out.Type = cdc.KindDecimal, fmt.Sprintf("decimal(%d,%d)%s", mc.meta>>8, mc.meta&0xff, sign)
	case tFloat:
		out.Kind, out.Type = cdc.KindFloat, "float"+sign
	case tDouble:
		out.Kind, out.Type = cdc.KindFloat, "double"+sign
	case tDate, tNewDate:
		out.Kind, out.Type = cdc.KindDate, "date"
	case tTime2:
		out.Kind, out.Type = cdc.KindTime, fmt.Sprintf("time(%d)", mc.meta)
	case tDatetime2:
		out.Kind, out.Type = cdc.KindTimestamp, fmt.Sprintf("datetime(%d)", mc.meta)
	case tTimestamp2:
		out.Kind, out.Type = cdc.KindInstant, fmt.Sprintf("timestamp(%d)", mc.meta)
	case tEnum:
		out.Kind, out.Type = cdc.KindEnum, "enum"
	case tSet:
		out.Kind, out.Type = cdc.KindArray, "set"
	case tBit:
		out.Kind, out.Type = cdc.KindBits, fmt.Sprintf("bit(%d)", int(mc.meta>>8)*8+int(mc.meta&0xff))
	case tJSON:
		out.Kind, out.Type = cdc.KindJSON, "json"
	case tString, tVarchar, tVarString, tBlob:
		if mc.collation == binaryCharset {
			out.Kind, out.Type = cdc.KindBytes, map[bool]string{true: "binary", false: "varbinary or blob"}[mc.kind == tString]
			if mc.kind == tString {
				m.length = int(mc.meta)
			}
			break
		}
		if charset == "" {
			return out, fmt.Errorf("collation %d is not known to the server", mc.collation)
		}
		out.Kind, out.Type, m.charset, m.meta = cdc.KindText, "text of "+charset, charset, 0
	default:
		out.Type = fmt.Sprintf("type code %d", mc.kind)
	}
	out.Meta = m.String()
	return out, nil
}

// labels transcodes an enum's labels from the column's charset.
func (r *resolver) labels(mc *mapColumn) ([]string, error) {
	charset := r.charsets[mc.collation]
	out := make([]string, len(mc.labels))
	for i, raw := range mc.labels {
		var err error
		if out[i], err = text(charset, raw); err != nil {
			return nil, fmt.Errorf("label %d: %w", i+1, err)
		}
	}
	return out, nil
}

// fullMetadata makes the log name the columns.
const fullMetadata = "SET GLOBAL binlog_row_metadata=FULL;"

// plan resolves a Table_map event for one selected table.
func (r *resolver) plan(m *tableMap, raw []byte, k known, at int64, sel *selected) (*plan, error) {
	columns, err := r.columns(m, k, at, sel.wants)
	table := cdc.Table{Schema: m.schema, Name: m.table}
	if d, ok := err.(*doubt); ok {
		if len(sel.masked) > 0 {
			// Invariant 12: a row whose columns cannot be told apart cannot be kept without its masked ones.
			return nil, &cdc.LostError{Source: r.source,
				Reason: fmt.Sprintf("%s has masked columns, and they cannot be told apart: %s", table, d.reason),
				Hint:   "Run: " + fullMetadata + " then: waybill checkpoint reset " + r.source + " --to snapshot", SQL: []string{fullMetadata}}
		}
		schema := &cdc.Schema{Source: r.source, Table: table, Codec: CodecBinlog, Fault: d.reason,
			Columns: []cdc.Column{{Type: "row image", Kind: cdc.KindBytes,
				Meta: fmt.Sprintf("%d,0,0,binary,%s", tBlob, base64.StdEncoding.EncodeToString(raw))}}}
		p, err := newPlan(m, schema, func(int) bool { return false })
		if p != nil {
			p.whole = true
		}
		return p, err
	}
	if err != nil {
		return nil, fmt.Errorf("reading rows of %s: %w", table, err)
	}
	keep := make([]bool, len(columns))
	schema := &cdc.Schema{Source: r.source, Table: table, Codec: CodecBinlog}
	wide := sel.widened(columns)
	for i := range columns {
		if keep[i] = sel.keeps(&columns[i]) || wide && !slices.Contains(sel.masked, columns[i].Name); keep[i] {
			schema.Columns = append(schema.Columns, columns[i])
		}
	}
	return newPlan(m, schema, func(i int) bool { return keep[i] })
}

// selected is what a mapping wants of one table.
type selected struct {
	table   cdc.Table
	columns []string
	old     []string
	masked  []string
}

// wants reports whether the column is read by name.
func (s *selected) wants(name string) bool {
	return !slices.Contains(s.masked, name) && (slices.Contains(s.columns, name) || slices.Contains(s.old, name))
}

// keeps reports whether the column goes into the batch: a key, or wanted, and never when masked (Invariant 12).
func (s *selected) keeps(c *cdc.Column) bool {
	return !slices.Contains(s.masked, c.Name) && (c.Key || s.wants(c.Name))
}

// widened reports whether a selected column is gone, so that everything that is not masked must be kept: the column may go on
// under another name, and a later mapping will read it there. When a masked column is gone too it may be the one with
// the new name, and nothing beside the selection is kept (Invariant 12).
func (s *selected) widened(columns []cdc.Column) bool {
	gone := func(name string) bool {
		return !slices.ContainsFunc(columns, func(c cdc.Column) bool { return c.Name == name })
	}
	return !slices.ContainsFunc(s.masked, gone) && (slices.ContainsFunc(s.columns, gone) || slices.ContainsFunc(s.old, gone))
}

// schema returns the selected columns of a table as it is now.
func (s *selected) schema(source, codec string, info *tableInfo) *cdc.Schema {
	out := &cdc.Schema{Source: source, Table: info.table, Codec: codec}
	for i := range info.columns {
		if c := info.columns[i].captured(); s.keeps(&c) {
			out.Columns = append(out.Columns, c)
		}
	}
	return out
}

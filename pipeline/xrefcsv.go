package pipeline

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"waybill/transform"
)

// xrefColumns are the columns of a CSV file of the registry (RFC 4180, UTF-8, commas). Attributes have columns of their own:
// attr.erp_account. An empty cell is no value.
var xrefColumns = []string{"kind", "company", "system", "role", "key", "canonical", "valid_from", "valid_to", "state"}

const attributePrefix = "attr."

// WriteXrefs writes rows so that an import of them into an empty registry gives the same rows: the columns in one order, each
// attribute that occurs, the rows as they come.
func WriteXrefs(w io.Writer, rows []transform.RegistryRow) error {
	set := map[string]bool{}
	for i := range rows {
		for name := range rows[i].Attributes {
			set[name] = true
		}
	}
	attributes := slices.Sorted(maps.Keys(set))
	out := csv.NewWriter(w)
	header := slices.Clone(xrefColumns)
	for _, name := range attributes {
		header = append(header, attributePrefix+name)
	}
	if err := out.Write(header); err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		line := []string{r.Kind, r.Company, r.System, r.Role, r.Key, r.Canonical, r.From, r.To, string(r.State)}
		for _, name := range attributes {
			line = append(line, r.Attributes[name])
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// xrefLine is one row of a file with its line.
type xrefLine struct {
	row  transform.RegistryRow
	line int
}

// read reads a CSV file whole. Every fault of it is noted with line and column.
func (p *xrefPlan) read(text string) []xrefLine {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		p.broken(err)
		return nil
	}
	p.line = 1
	p.header(header)
	if len(p.faults) > 0 {
		return nil
	}
	var lines []xrefLine
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			p.broken(err)
			return lines
		}
		if p.line, _ = r.FieldPos(0); len(lines) == xrefImport {
			p.fault("", "more than 5,000 rows", "5,000 rows at most; import the rest from another file")
			return lines
		}
		if len(cells) != len(header) {
			p.fault("", fmt.Sprintf("%d cells", len(cells)), fmt.Sprintf("%d, as the header has", len(header)))
			continue
		}
		row := xrefRow(header, cells)
		p.checkRow(&row)
		p.checkState(&row)
		lines = append(lines, xrefLine{row, p.line})
	}
}

// broken notes text that is no CSV.
func (p *xrefPlan) broken(err error) {
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		p.line = bad.Line
		p.fault("", fmt.Sprintf("no CSV at character %d: %v", bad.Column, bad.Err), "cells between commas; quotes around a cell that has commas, quotes or lines")
	case errors.Is(err, io.EOF):
		p.fault("", "an empty file", "the header "+strings.Join(xrefColumns, ","))
	default:
		p.fault("", err.Error(), "CSV")
	}
}

func (p *xrefPlan) header(header []string) {
	seen := map[string]bool{}
	for _, name := range header {
		attribute := strings.TrimPrefix(name, attributePrefix)
		switch {
		case seen[name]:
			p.fault(name, "the column a second time", "each column once")
		case slices.Contains(xrefColumns, name):
		case attribute == name:
			p.fault(name, fmt.Sprintf("the column %q", clip(name, 80)), strings.Join(xrefColumns, ", ")+", or attr.<attribute>")
		case !attributeForm.MatchString(attribute):
			p.fault(name, fmt.Sprintf("the attribute %q", clip(attribute, 80)), "small letters, digits and _, such as attr.erp_account")
		}
		seen[name] = true
	}
	for _, name := range []string{"kind", "system", "key", "canonical"} {
		if !seen[name] {
			p.fault(name, "no such column", "the columns kind, system, key and canonical at least")
		}
	}
}

func xrefRow(header, cells []string) transform.RegistryRow {
	r := transform.RegistryRow{State: transform.RowActive}
	for i, v := range cells {
		switch name := header[i]; name {
		case "kind":
			r.Kind = v
		case "company":
			r.Company = v
		case "system":
			r.System = v
		case "role":
			r.Role = v
		case "key":
			r.Key = v
		case "canonical":
			r.Canonical = v
		case "valid_from":
			r.From = v
		case "valid_to":
			r.To = v
		case "state":
			if v != "" {
				r.State = transform.RegistryState(v)
			}
		default:
			if v != "" {
				if r.Attributes == nil {
					r.Attributes = map[string]string{}
				}
				r.Attributes[strings.TrimPrefix(name, attributePrefix)] = v
			}
		}
	}
	return r
}

func (p *xrefPlan) checkState(r *transform.RegistryRow) {
	switch r.State {
	case transform.RowProposed, transform.RowActive, transform.RowRejected:
	case transform.RowClosed:
		if r.To == "" {
			p.fault("valid_to", "nothing", "the last day of a closed row")
		}
	default:
		p.fault("state", fmt.Sprintf("%q", clip(string(r.State), 40)), "proposed, active, closed or rejected")
	}
}

// enter plans an import. What is there already is left alone, so that the same file may be imported again, and an import that was
// interrupted goes on: first rows that the file ends or approves, then new ones.
func (p *xrefPlan) enter(r *XrefRequest) error {
	if len(r.Text) > XrefMaxBytes {
		p.fault("", fmt.Sprintf("a file of %d bytes", len(r.Text)), fmt.Sprintf("at most %d", XrefMaxBytes))
		return nil
	}
	lines := p.read(r.Text)
	if len(p.faults) > 0 {
		return nil
	}
	var fresh []xrefLine
	for _, l := range lines {
		p.line = l.line
		known, err := p.meant(&l.row)
		if err != nil {
			return err
		}
		if known == nil {
			fresh = append(fresh, l)
			continue
		}
		if err := p.again(known, &l.row); err != nil {
			return err
		}
	}
	for _, l := range fresh {
		p.line = l.line
		if err := p.fresh(l.row); err != nil {
			return err
		}
	}
	return nil
}

// meant finds the row that says the same already.
func (p *xrefPlan) meant(row *transform.RegistryRow) (*transform.RegistryRow, error) {
	all, err := p.of(row.RegistryKey)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if o.SameMeaning(row) && (o.State != transform.RowRejected || row.State == transform.RowRejected) {
			return o, nil
		}
	}
	return nil, nil
}

// again takes over what the file says of a row that is there: nothing, its approval, or its end.
func (p *xrefPlan) again(known, row *transform.RegistryRow) error {
	switch {
	case known.State == row.State && known.To == row.To:
		p.same++
		return nil
	case known.State == transform.RowProposed && row.State == transform.RowActive && known.To == row.To:
		return p.approve(known, false)
	case known.State == transform.RowActive && row.State == transform.RowClosed && (known.To == "" || row.To <= known.To):
		return p.end(known, row.To)
	}
	p.fault("state", fmt.Sprintf("%s %s for row %s, which is %s %s", row.State, days(row), known.ID, known.State, days(known)),
		"the row as it is, or closed earlier; a decision is not taken back by a file")
	return nil
}

// fresh plans a new row. A row that people rejected does not come back by a file.
func (p *xrefPlan) fresh(row transform.RegistryRow) error {
	all, err := p.of(row.RegistryKey)
	if err != nil {
		return err
	}
	for _, o := range all {
		switch {
		case o.Meets(&row):
			p.meets(o, &row)
		case o.State == transform.RowRejected && o.ID != "" && row.State != transform.RowRejected && o.SameMeaning(&row):
			p.fault("", "row "+o.ID+", which says the same and was rejected", "waybill xref propose, if it is right after all")
		case o.ID == "" && o.SameMeaning(&row):
			p.fault("", "the row a second time in the file", "each row once")
		}
	}
	return p.add(row)
}

package transform

import "waybill/cdc"

// Bounds of what a problem shows of the rows.
const (
	imageColumns = 100
	imageText    = 200 // bytes of one value
	imageLines   = 20
)

// image is a row as people see it: the columns that rules read, by name. Masked columns are never captured.
func image(r *row) map[string]any {
	if r == nil {
		return nil
	}
	shown := map[string]any{}
	for i, v := range r.vals {
		if i == imageColumns {
			break
		}
		switch v.State {
		case cdc.Present:
			shown[r.table.cols[i]] = clip(v.Text, imageText)
		case cdc.Null:
			shown[r.table.cols[i]] = nil
		}
	}
	return shown
}

// show adds to the evidence of a trouble what is there to see.
func (t *trouble) show(name string, rows map[string]any) {
	if rows == nil {
		return
	}
	if t.evidence == nil {
		t.evidence = map[string]any{}
	}
	t.evidence[name] = rows
}

// attest adds a document's rows to what keeps it.
func (f *frame) attest(troubles []*trouble) {
	header := image(f.rows[newRow])
	var lines []map[string]any
	for _, l := range f.lines[:min(len(f.lines), imageLines)] {
		lines = append(lines, image(l))
	}
	for _, t := range troubles {
		t.show("header", header)
		if lines != nil {
			t.evidence["lines_shown"] = lines
		}
	}
}

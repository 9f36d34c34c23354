package cdctest

import (
	"maps"
	"math"
	"strconv"
	"time"

	"waybill/cdc"
)

// chunk is a part of the table that was read beside the stream, in the order of its key.
type chunk struct {
	rows []change
	upTo int    // it speaks of keys up to this, behind those of the chunk before
	view string // what the rows include
	data []byte
	// Places in the stream, as numbers of changes: what Next had returned when the chunk was asked for, and where it takes its
	// place, behind all that its rows include.
	asked, joined int
}

// readTable reads the table in chunks of at most so many rows (0: as the source likes) while the stream goes on, from behind a
// cursor, and puts each in its place in the stream as a pipeline does.
func (r *run) readTable(after string, rows int) {
	r.t.Helper()
	for end := false; !end; {
		c := r.readChunk(after, rows)
		after, end = c.After, c.End
	}
}

// readChunk reads one chunk behind a cursor.
func (r *run) readChunk(after string, rows int) *cdc.Chunk {
	r.t.Helper()
	var read cdc.ChunkRead
	var err error
	n := chunk{asked: len(r.changes)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		read, err = r.src.ReadChunk(r.ctx, cdc.ChunkRequest{Table: r.table, After: after, Rows: rows})
	}()
	for waiting := true; waiting; { // the stream is read meanwhile, as always
		select {
		case <-done:
			waiting = false
		case <-time.After(50 * time.Millisecond):
			r.must()
		}
	}
	if err != nil {
		r.t.Fatalf("ReadChunk after %s: %v", after, err)
	}
	b := read.Batch
	r.checkChunk(b, rows)
	for !r.src.Covers(r.pos, read.High) {
		r.src.Nudge()
		r.must()
	}
	n.joined, n.view, n.data, n.upTo = len(r.changes), b.Chunk.View, b.Data, math.MaxInt
	n.rows = r.decode(b)
	if !b.Chunk.End {
		n.upTo = number(r, n.rows[len(n.rows)-1].new["id"].Text)
	}
	r.chunks = append(r.chunks, n)
	return b.Chunk
}

// checkChunk tests what the batch of a chunk promises.
func (r *run) checkChunk(b cdc.Batch, rows int) {
	r.t.Helper()
	switch {
	case b.Source != r.name || b.Identity == "":
		r.t.Errorf("a chunk of source %q, identity %q", b.Source, b.Identity)
	case b.Chunk == nil || !b.Snapshot || b.Position != "" || b.More || b.Tx != "":
		r.t.Fatalf("a chunk is %+v", b)
	case b.Chunk.Table != r.table || b.CommitAt.IsZero():
		r.t.Errorf("a chunk of %s at %s", b.Chunk.Table, b.CommitAt)
	case rows > 0 && b.Changes > rows || len(b.Data) > 5<<20:
		r.t.Errorf("a chunk of %d rows, %d bytes; at most %d rows were asked for", b.Changes, len(b.Data), rows)
	case !b.Chunk.End && (b.Changes == 0 || b.Chunk.After == ""):
		r.t.Fatalf("a chunk that is not the last has %d rows and the cursor %q", b.Changes, b.Chunk.After)
	}
	for _, s := range b.Schemas {
		r.schemas[s.ID()] = s
	}
}

// included reports whether the chunk that speaks of the key shows what change i did. That must be so for what Next had returned
// when the chunk was asked for, and must not for what comes behind the chunk's place.
func (r *run) included(key string, i int) bool {
	r.t.Helper()
	id := number(r, key)
	for _, n := range r.chunks {
		if id > n.upTo {
			continue
		}
		sees, err := r.h.Codecs.Sees(n.view, r.changes[i].tx)
		switch {
		case err != nil:
			r.t.Fatal(err)
		case !sees && i < n.asked:
			r.t.Fatalf("a chunk does not include change %s of row %s, which Next had returned before it was asked for", r.changes[i].id(), key)
		case sees && i >= n.joined:
			r.t.Fatalf("change %s of row %s comes from the stream behind the place of a chunk that includes it", r.changes[i].id(), key)
		}
		return sees
	}
	return false // the table was not read
}

func number(r *run, text string) int {
	r.t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// rows returns the table as the chunks and the stream leave it. A gap or an overlap shows as an insert of a row that exists, or as
// an update or delete of one that does not.
func (r *run) rows() map[string]string {
	r.t.Helper()
	rows := map[string]string{}
	for _, n := range r.chunks {
		for _, c := range n.rows {
			r.come(rows, c)
		}
	}
	seen := map[string]bool{}
	for i, c := range r.changes {
		if seen[c.id()] {
			r.t.Fatalf("change %s came twice", c.id())
		}
		seen[c.id()] = true
		if c.op == cdc.Truncate {
			maps.DeleteFunc(rows, func(key, _ string) bool { return !r.included(key, i) })
			continue
		}
		id, before := c.new["id"].Text, c.old["id"].Text
		if before == "" {
			before = id
		}
		if c.op != cdc.Insert && !r.included(before, i) {
			if _, known := rows[before]; !known {
				r.t.Fatalf("%s of row %s, which does not exist (%s)", c.op, before, c.id())
			}
			delete(rows, before)
		}
		if c.op != cdc.Delete && !r.included(id, i) {
			r.come(rows, c)
		}
	}
	return rows
}

func (r *run) come(rows map[string]string, c change) {
	r.t.Helper()
	id := c.new["id"].Text
	if _, known := rows[id]; known {
		r.t.Fatalf("%s of row %s, which exists (%s)", c.op, id, c.id())
	}
	rows[id] = c.new["n"].Text
}

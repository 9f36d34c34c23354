package postgres

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// cursor is the place behind a row of a table: what Chunk.After holds, as JSON. With a primary key it is the values of the
// last row's key; without one it is the row's place in the files of the table.
type cursor struct {
	Key   []string `json:"key,omitempty"`   // the key's columns with type and collation: of another key, the values mean nothing
	After []string `json:"after,omitempty"` // the key's values, as the server writes them
	Raw   [][]byte `json:"raw,omitempty"`   // the same, where they are not UTF-8

	File string `json:"file,omitempty"` // tells the table's files from those that a rewrite makes
	TID  string `json:"tid,omitempty"`  // (block,item)
	Leaf string `json:"leaf,omitempty"` // OID of the partition, or of the table
}

// parseCursor reads a cursor; anything else gives the zero cursor, the place before the first row.
func parseCursor(text string) cursor {
	var c cursor
	if json.Unmarshal([]byte(text), &c) != nil {
		return cursor{}
	}
	return c
}

func (c cursor) String() string {
	raw, err := json.Marshal(c)
	if err != nil { // strings and bytes always marshal
		panic(err)
	}
	return string(raw)
}

// keyCursor makes a cursor of a row's key. The values are copied.
func keyCursor(key []string, values [][]byte) cursor {
	c := cursor{Key: key}
	for _, v := range values {
		if !utf8.Valid(v) {
			c.After = nil
			for _, v := range values {
				c.Raw = append(c.Raw, slices.Clone(v))
			}
			return c
		}
		c.After = append(c.After, string(v))
	}
	return c
}

// values returns the values of the cursor's key if it is one of the key given, else nil.
func (c cursor) values(key []string) [][]byte {
	if !slices.Equal(c.Key, key) {
		return nil
	}
	values := c.Raw
	if values == nil {
		for _, v := range c.After {
			values = append(values, []byte(v))
		}
	}
	if len(values) != len(key) {
		return nil
	}
	return values
}

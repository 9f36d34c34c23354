package postgres

import (
	"sync"

	"waybill/cdc"
)

// learnt is what the readings have learnt about each table. Any goroutine may use it.
type learnt struct {
	mu     sync.Mutex
	tables map[cdc.Table]knowledge
}

// knowledge is about one table.
type knowledge struct {
	shape shape
	// width is how many bytes a row has had lately, or a block of a table without a key; 0 if that is not known. It lets a chunk
	// ask for as many rows as it can take.
	width float64
}

// shape is a table's description, which nobody changes.
type shape struct {
	print    string // of the catalog's rows that it was made of
	relation *relation
	schema   *cdc.Schema
	key      []keyColumn // primary key
}

func (l *learnt) about(t cdc.Table) knowledge {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tables[t]
}

func (l *learnt) learn(t cdc.Table, change func(*knowledge)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tables == nil {
		l.tables = map[cdc.Table]knowledge{}
	}
	k := l.tables[t]
	change(&k)
	l.tables[t] = k
}

package mysql

import (
	"fmt"
	"strconv"
	"strings"
)

// meta is what the codecs need of a column beside its kind. It is written into Column.Meta as "type,meta,length,charset,flags",
// a form that is kept for ever: "3,0,0,,u" is an int unsigned, "254,16,16,binary," a binary(16), "254,4,0,,a" an inet4.
type meta struct {
	kind     byte   // type code in the binary log
	meta     uint16 // its metadata: precision and scale, digits of a fraction, bytes of an enum, bytes and bits of a BIT
	length   int    // declared length in bytes of binary(n), 0 otherwise
	charset  string // of text and labels
	unsigned bool
	address  bool // INET4 or INET6: text in the snapshot, bytes in the log
}

func (m meta) String() string {
	flags := ""
	if m.unsigned {
		flags = "u"
	}
	if m.address {
		flags += "a"
	}
	return fmt.Sprintf("%d,%d,%d,%s,%s", m.kind, m.meta, m.length, m.charset, flags)
}

func parseMeta(s string) (meta, error) {
	var m meta
	kind, s, _ := strings.Cut(s, ",")
	number, s, _ := strings.Cut(s, ",")
	length, s, _ := strings.Cut(s, ",")
	charset, flags, ok := strings.Cut(s, ",")
	k, err1 := strconv.ParseUint(kind, 10, 8)
	n, err2 := strconv.ParseUint(number, 10, 16)
	l, err3 := strconv.Atoi(length)
	if !ok || err1 != nil || err2 != nil || err3 != nil {
		return m, fmt.Errorf("column metadata is not in the form type,meta,length,charset,flags")
	}
	return meta{byte(k), uint16(n), l, charset, strings.Contains(flags, "u"), strings.Contains(flags, "a")}, nil
}

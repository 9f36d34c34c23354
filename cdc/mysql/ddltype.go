package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// integers have the widths that MariaDB shows for a type without one: signed, unsigned.
var integers = map[string][2]int{"tinyint": {4, 3}, "smallint": {6, 5}, "mediumint": {9, 8}, "int": {11, 10}, "bigint": {20, 20}}

// synonyms are the other names of types. Those of several words, and those that mean more than a name, are in columnType.
var synonyms = map[string]string{
	"int1": "tinyint", "int2": "smallint", "int3": "mediumint", "middleint": "mediumint", "int4": "int", "integer": "int", "int8": "bigint",
	"dec": "decimal", "numeric": "decimal", "fixed": "decimal", "float4": "float", "float8": "double", "real": "double",
	"character": "char", "varcharacter": "varchar", "geomcollection": "geometrycollection",
}

// typeParser reads the type of a column: as the statement declares it, or as information_schema shows it.
type typeParser struct {
	*tokens
	flavor string
	column *columnInfo
	length int  // of char, varchar, text and their binary forms; -1 when none is given
	serial bool // SERIAL, which is NOT NULL and UNIQUE too
}

// columnType reads a type up to its attributes. The charset is left empty when the type does not imply it; see complete.
func (p *typeParser) columnType() error {
	c := p.column
	word := p.take()
	if word.kind != tokenWord {
		return fmt.Errorf("%q where a type is expected", word.text)
	}
	c.data = strings.ToLower(word.text)
	if name, ok := synonyms[c.data]; ok {
		c.data = name
	}
	p.length = -1
	p.severalWords()
	c.text = c.data
	var err error
	switch c.data {
	case "bool", "boolean":
		c.data, c.text = "tinyint", "tinyint(1)"
	case "serial":
		c.data, c.unsigned, p.serial = "bigint", true, true
		c.text = p.integer(nil) + " unsigned"
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double":
		err = p.numeric()
	case "bit", "year":
		err = p.counted()
	case "char", "varchar", "binary", "varbinary", "text", "blob":
		err = p.sized()
	case "time", "datetime", "timestamp":
		err = p.temporal()
	case "enum", "set":
		err = p.list()
	case "json":
		if p.flavor == MariaDB {
			c.data, c.text, c.json, c.charset = "longtext", "longtext", true, "utf8mb4"
		}
	case "vector":
		_, err = p.numbers(1)
	default:
		if _, ok := typeCodes[c.data]; !ok {
			return fmt.Errorf("%q is no type that is known", word.text)
		}
	}
	return err
}

// severalWords joins DOUBLE PRECISION, CHARACTER VARYING, NATIONAL CHAR, LONG VARCHAR and their like into one name.
func (p *typeParser) severalWords() {
	c := p.column
	switch c.data {
	case "double":
		p.accept("PRECISION")
	case "national", "nchar", "nvarchar":
		data := "char"
		if c.data == "nvarchar" || p.accept("VARCHAR", "VARCHARACTER") {
			data = "varchar"
		} else if p.accept("CHAR", "CHARACTER"); p.accept("VARYING", "VARCHAR", "VARCHARACTER") {
			data = "varchar"
		}
		c.data, c.charset = data, "utf8mb3"
	case "char":
		if p.accept("VARYING") {
			c.data = "varchar"
		}
	case "long":
		c.data = "mediumtext"
		if p.accept("VARBINARY") {
			c.data = "mediumblob"
		} else if p.accept("CHAR", "CHARACTER") {
			p.accept("VARYING")
		} else {
			p.accept("VARCHAR", "VARCHARACTER")
		}
	}
}

// numbers reads (n) or (n,m), or nothing.
func (p *typeParser) numbers(most int) ([]int, error) {
	if !p.accept("(") {
		return nil, nil
	}
	var out []int
	for {
		n, err := strconv.Atoi(p.take().text)
		if err != nil || n < 0 || len(out) == most {
			return nil, fmt.Errorf("the size of type %s is not understood", p.column.data)
		}
		out = append(out, n)
		if p.accept(")") {
			return out, nil
		}
		if !p.accept(",") {
			return nil, fmt.Errorf("the size of type %s is not understood", p.column.data)
		}
	}
}

func (p *typeParser) numeric() error {
	c := p.column
	n, err := p.numbers(2)
	if err != nil {
		return err
	}
	zerofill := false
	for {
		if p.accept("UNSIGNED") {
			c.unsigned = true
		} else if p.accept("ZEROFILL") {
			c.unsigned, zerofill = true, true
		} else if !p.accept("SIGNED") {
			break
		}
	}
	switch c.data {
	case "decimal":
		if n = append(n, 0, 0); n[0] == 0 {
			n[0] = 10
		}
		c.precision, c.scale = n[0], n[1]
		c.text = fmt.Sprintf("decimal(%d,%d)", n[0], n[1])
	case "float", "double":
		if len(n) == 1 && n[0] > 24 {
			c.data = "double"
		}
		if c.text = c.data; len(n) == 2 {
			c.text += fmt.Sprintf("(%d,%d)", n[0], n[1])
		}
	default:
		c.text = p.integer(n)
	}
	if c.unsigned {
		c.text += " unsigned"
	}
	if zerofill {
		c.text += " zerofill"
	}
	return nil
}

// integer shows an integer type with its width, which MySQL does no longer, but for tinyint(1).
func (p *typeParser) integer(n []int) string {
	c := p.column
	width := integers[c.data][btoi(c.unsigned)]
	if len(n) > 0 {
		width = n[0]
	}
	if p.flavor == MySQL && len(n) == 0 {
		return c.data
	}
	return fmt.Sprintf("%s(%d)", c.data, width)
}

func (p *typeParser) counted() error {
	c := p.column
	n, err := p.numbers(1)
	switch {
	case err != nil:
		return err
	case c.data == "bit":
		c.precision = append(n, 1)[0]
		c.text = fmt.Sprintf("bit(%d)", c.precision)
	case p.flavor == MariaDB:
		c.text = fmt.Sprintf("year(%d)", append(n, 4)[0])
	}
	p.accept("UNSIGNED")
	p.accept("ZEROFILL")
	return nil
}

func (p *typeParser) sized() error {
	n, err := p.numbers(1)
	if err == nil && len(n) == 1 {
		p.length = n[0]
	}
	return err
}

func (p *typeParser) temporal() error {
	c := p.column
	n, err := p.numbers(1)
	if err == nil && len(n) == 1 && n[0] > 0 {
		c.fraction = n[0]
		c.text = fmt.Sprintf("%s(%d)", c.data, c.fraction)
	}
	return err
}

func (p *typeParser) list() error {
	c := p.column
	if !p.accept("(") {
		return fmt.Errorf("%s without labels", c.data)
	}
	for {
		label := p.take()
		if label.kind == tokenWord && strings.HasPrefix(label.text, "_") || label.is("N") {
			return fmt.Errorf("labels in another charset are not understood")
		}
		if label.kind != tokenString {
			return fmt.Errorf("%q where a label is expected", label.text)
		}
		c.labels = append(c.labels, strings.TrimRight(label.text, " "))
		if p.accept(")") {
			break
		}
		if !p.accept(",") {
			return fmt.Errorf("the labels of an %s are not understood", c.data)
		}
	}
	quoted := make([]string, len(c.labels))
	for i, l := range c.labels {
		quoted[i] = "'" + labelEscapes.Replace(l) + "'"
	}
	c.text = c.data + "(" + strings.Join(quoted, ",") + ")"
	return nil
}

// labelEscapes are those with which the server shows labels.
var labelEscapes = strings.NewReplacer(`\`, `\\`, "'", "''", "\n", `\n`, "\r", `\r`, "\x00", `\0`)

var binaryTypes = map[string]string{"char": "binary", "varchar": "varbinary", "tinytext": "tinyblob", "text": "blob", "mediumtext": "mediumblob", "longtext": "longblob"}

// textual reports whether the column has a character set.
func (c *columnInfo) textual() bool {
	_, ok := binaryTypes[c.data]
	return ok || c.data == "enum" || c.data == "set"
}

// complete settles what depends on the charset, which is the given one when the column does not say.
func (p *typeParser) complete(charset string) error {
	c := p.column
	if c.textual() && c.charset == "" {
		if charset == "" {
			return fmt.Errorf("column %s takes the default character set, which is not known", c.name)
		}
		c.charset = charset
	}
	if name, ok := binaryTypes[c.data]; ok && c.charset == "binary" {
		c.data, c.charset, c.text = name, "", strings.Replace(c.text, c.data, name, 1)
	}
	if !c.textual() {
		c.charset = ""
	}
	switch c.data {
	case "char", "binary":
		p.length = max(p.length, btoi(p.length < 0))
	case "varchar", "varbinary":
		if p.length < 0 {
			return fmt.Errorf("column %s has no length", c.name)
		}
	default:
		if p.length > 0 && (c.data == "text" || c.data == "blob") {
			c.data = sizes[c.data][sizeOf(p.length*maxLength(c.charset))]
			c.text = c.data
		}
		if c.zipped {
			c.text += zippedText
		}
		return nil
	}
	c.octets = p.length * maxLength(c.charset)
	c.text = fmt.Sprintf("%s(%d)", c.data, p.length)
	if c.zipped {
		c.text += zippedText
	}
	return nil
}

const zippedText = " /*M!100301 COMPRESSED*/"

// sizes are the types of long texts by the bytes of their length.
var sizes = map[string][]string{"text": {"tinytext", "text", "mediumtext", "longtext"}, "blob": {"tinyblob", "blob", "mediumblob", "longblob"}}

// sizeOf returns how many bytes, less one, the length of so many bytes takes.
func sizeOf(octets int) int {
	return slices.IndexFunc([]int{1<<8 - 1, 1<<16 - 1, 1<<24 - 1, 1 << 62}, func(most int) bool { return octets <= most })
}

// typed reads a type as information_schema shows it.
func typed(c *columnInfo, flavor string) error {
	t := lexed(c.text, flavor, 0)
	if t == nil {
		return fmt.Errorf("type %q is not understood", c.text)
	}
	p := &typeParser{tokens: t, flavor: flavor, column: c}
	charset, json := c.charset, c.json
	if err := p.columnType(); err != nil {
		return err
	}
	c.zipped = p.accept("COMPRESSED")
	c.charset, c.json = charset, json
	return p.complete(charset)
}

package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// The keys of the records of a mapping file that stand nowhere else. The parser and the schema for editors read the same
// lists: a key that one knows, the other does.
var (
	sourceKeys   = []string{"schema", "zone", "dst", "currency"}
	dstKeys      = []string{"twice", "never"}
	roundingKeys = []string{"places", "mode"}
	completeKeys = []string{"checks", "wait"}
	emitKeys     = []string{"when", "after", "set"}
	testKeys     = []string{"name", "given", "expect"}
)

// shape is a part of a JSON Schema.
type shape map[string]any

// schemaVersion is the dialect that the schema is written in (json-schema.org, draft 2020-12).
const schemaVersion = "https://json-schema.org/draft/2020-12/schema"

// Schema is the JSON Schema of a mapping file, for editors: it knows the sections, their keys and the words of the catalogue.
// What an expression means, only the parser knows: waybill map check.
func Schema() ([]byte, error) {
	s := recordShape("A Waybill mapping: everything that is known about one carrier", sections, sectionShapes, "mapping", "version", "sources")
	s["$schema"] = schemaVersion
	s["title"] = "Waybill mapping"
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("writing the schema of a mapping: %w", err)
	}
	return b.Bytes(), nil
}

// recordShape is a record whose keys are fixed. A key without a shape of its own takes anything.
func recordShape(about string, keys []string, shapes map[string]shape, required ...string) shape {
	properties := map[string]any{}
	for _, k := range keys {
		properties[k] = shape{}
		if of, ok := shapes[k]; ok {
			properties[k] = of
		}
	}
	s := shape{"type": "object", "description": about, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// namedShape is a record whose keys the author chooses.
func namedShape(about string, value shape) shape {
	return shape{"type": "object", "description": about, "additionalProperties": value}
}

func listShape(about string, item shape) shape {
	return shape{"type": "array", "description": about, "items": item}
}

func textShape(about string) shape { return shape{"type": "string", "description": about} }

func wordShape(about string, words ...string) shape {
	return shape{"enum": words, "description": about}
}

func eitherShape(about string, of ...shape) shape { return shape{"description": about, "anyOf": of} }

// valueShape is a right-hand side: text in quotes, with {expressions} in it, or an expression.
func valueShape(about string) shape {
	return shape{"type": []string{"string", "number", "boolean", "null"}, "description": about}
}

func durationShape(about string) shape {
	return shape{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, "description": about}
}

// scalarShape is what stands for a text: codes are often numbers.
var scalarShape = shape{"type": []string{"string", "number", "boolean"}}

// fieldsShape is a set: names of canonical fields, a dotted one for a part, and name[] for the lines of a document.
var fieldsShape = shape{"type": "object", "description": "canonical fields, in order: later ones may use earlier ones",
	"additionalProperties": valueShape("an expression"), "patternProperties": map[string]any{`\[\]$`: namedShape("the fields of each line", valueShape("an expression"))}}

// bodyShape is a posting's body: like a set, but parts may be nested.
var bodyShape = shape{"type": "object", "description": "the document as the target takes it"}

// sectionShapes are the sections of a mapping. One that has none here takes anything.
var sectionShapes = map[string]shape{
	"mapping": textShape("the name of the carrier"),
	"version": {"type": []string{"string", "number"}, "description": "raised with each change; stamped on every event"},
	"cutover": {"type": "string", "format": "date-time", "description": "documents released before it are history and are not posted"},
	"shadow":  {"type": "boolean", "description": "documents are made and kept, and not sent before a person switches them on"},
	"sources": namedShape("the databases, by their names in waybill.yaml", recordShape("one database", sourceKeys, map[string]shape{
		"schema":   textShape("of tables that are named without one"),
		"zone":     textShape("of times without a zone: a name of the IANA time zone database, America/Chicago"),
		"dst":      eitherShape("what to do with a local time that happens twice or never", edgeWord, recordShape("twice and never apart", dstKeys, map[string]shape{"twice": edgeWord, "never": edgeWord})),
		"currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217"},
	}, "zone")),
	"codes": namedShape("code tables", shape{"type": "object", "description": "code: canonical word", "additionalProperties": scalarShape,
		"properties": map[string]any{"_unknown": wordShape("what to do with an unknown code", "hold", "null")}}),
	"xref": namedShape("cross-references", recordShape("what a key of one system means in another", xrefKeys, map[string]shape{
		"from":  textShape("<source>.<table>"),
		"key":   eitherShape("the key columns", textShape("a column"), listShape("columns", textShape("a column"))),
		"valid": shape{"type": "array", "items": textShape("a column"), "minItems": 2, "maxItems": 2, "description": "columns of the first and the last day"},
		"value": namedShape("name: column", textShape("a column")),
		"rows":  listShape("rows that stand here, not in a table", namedShape("the key, the values, valid_from and valid_to", scalarShape)),
		"miss":  textShape("code of the problem of an unknown key"),
		"owner": textShape("the team that settles it"),
	}, "key")),
	"events": byEvent("events of one row", recordShape("a rule that makes an event of one row change", eventKeys, map[string]shape{
		"from":      textShape("<source>.<table>, or <source>.message(<prefix>)"),
		"when":      valueShape("the change that makes it: became(column, value)"),
		"key":       valueShape("the entity's id"),
		"at":        valueShape("when it happened"),
		"zone":      valueShape("of the time"),
		"lane":      wordShape("master data or transactions", "master", "transactional"),
		"order":     valueShape("events and postings of one order key keep their order"),
		"correlate": namedShape("other entities that it is about, by their kind", valueShape("the id")),
		"seed":      valueShape("a row of the first reading for which it has happened before"),
		"set":       fieldsShape,
	}, "from", "key")),
	"documents": namedShape("documents of a header with its lines", recordShape("a document", documentKeys, map[string]shape{
		"root":        textShape("<source>.<table> as <name>"),
		"lines":       textShape("<source>.<table> as l on l.<column> = h.<column> order by l.<column>"),
		"original":    textShape("<source>.<table> as o on o.<key> = h.<column>: what it corrects"),
		"key":         valueShape("the document's id"),
		"released_at": valueShape("when it was released"),
		"amount":      valueShape("the money that it is about"),
		"total":       wordShape("whose total wins", "source"),
		"tolerance":   {"type": []string{"string", "number"}, "description": "by which sums may differ"},
		"rounding":    recordShape("of money()", roundingKeys, map[string]shape{"places": {"type": "integer", "minimum": 0, "maximum": 6}, "mode": wordShape("how to round", roundings...)}),
		"correlate":   namedShape("other entities that it is about, by their kind", valueShape("the id")),
		"emit":        byEvent("its events; the first that holds counts", eitherShape("a condition, or more", valueShape("the condition"), recordShape("an event of the document", emitKeys, map[string]shape{"when": valueShape("the condition"), "after": textShape("waits for this event of the same correction group"), "set": fieldsShape}, "when"))),
		"assemble":    wordShape("where its rows come from", "state"),
		"complete":    recordShape("when it is whole", completeKeys, map[string]shape{"checks": listShape("equations that hold", textShape("count(l) == h.line_cnt")), "wait": durationShape("before people are told")}),
		"set":         fieldsShape,
	}, "root", "key", "released_at", "emit", "set", "amount", "total")),
	"posts": {"type": "object", "description": "<event>, <event> -> <sink>.<entity>: what the events ask of a target",
		"propertyNames": shape{"pattern": `^[a-z_.]+( *, *[a-z_.]+)* *-> *[^ .]+\.[^ .]+$`},
		"additionalProperties": recordShape("a posting", postKeys, map[string]shape{
			"external_id": valueShape("the natural key in the target"),
			"require":     listShape("what must have come before it", eitherShape("an event, an event with a condition, or a name with its key", textShape("<event> if <condition>"), shape{"type": "object", "additionalProperties": valueShape("the key"), "properties": map[string]any{"deadline": durationShape("then it is an exception"), "if": valueShape("a condition")}})),
			"sort":        valueShape("order among different keys where the target wants one"),
			"shadow":      {"type": "boolean", "description": "kept, and not sent before a person switches it on"},
			"body":        bodyShape,
		}, "external_id", "body")},
	"tests": listShape("inline tests: waybill map test", recordShape("a test", testKeys, map[string]shape{
		"name":   textShape("what it shows"),
		"given":  eitherShape("transactions, snapshots and waits", shape{"type": "object"}, listShape("steps in order", shape{"type": "object"})),
		"expect": {"description": "events with some of their fields, and problems"},
	}, testKeys...)),
}

// edgeWord is what is done at the edges of daylight saving time.
var edgeWord = wordShape("a local time that is not one instant", edgeEarlier, edgeLater, edgeRefuse)

// byEvent is a record whose keys are events of the catalogue.
func byEvent(about string, rule shape) shape {
	s := namedShape(about, rule)
	s["propertyNames"] = shape{"enum": slices.Sorted(maps.Keys(catalogue))}
	return s
}

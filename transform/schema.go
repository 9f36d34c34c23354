package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// The keys of the records of a mapping file that stand nowhere else. The parser and the schema for editors read the same
// lists: a key that one knows, the other does.
var (
	sourceKeys   = []string{"schema", "zone", "dst", "currency"}
	dstKeys      = []string{"twice", "never"}
	roundingKeys = []string{"places", "mode"}
	completeKeys = []string{"checks", "wait"}
	emitKeys     = []string{"when", "after", "credits", "unsent", "set"}
	testKeys     = []string{"name", "unsent", "given", "expect"}
)

// fileShape is a part of a JSON Schema.
type fileShape map[string]any

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
func recordShape(about string, keys []string, shapes map[string]fileShape, required ...string) fileShape {
	properties := map[string]any{}
	for _, k := range keys {
		properties[k] = fileShape{}
		if of, ok := shapes[k]; ok {
			properties[k] = of
		}
	}
	s := fileShape{"type": "object", "description": about, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// namedShape is a record whose keys the author chooses.
func namedShape(about string, value fileShape) fileShape {
	return fileShape{"type": "object", "description": about, "additionalProperties": value}
}

func listShape(about string, item fileShape) fileShape {
	return fileShape{"type": "array", "description": about, "items": item}
}

func textShape(about string) fileShape { return fileShape{"type": "string", "description": about} }

func wordShape(about string, words ...string) fileShape {
	return fileShape{"enum": words, "description": about}
}

func eitherShape(about string, of ...fileShape) fileShape {
	return fileShape{"description": about, "anyOf": of}
}

// valueShape is a right-hand side: text in quotes, with {expressions} in it, or an expression.
func valueShape(about string) fileShape {
	return fileShape{"type": []string{"string", "number", "boolean", "null"}, "description": about}
}

func durationShape(about string) fileShape {
	return fileShape{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, "description": about}
}

// scalarShape is what stands for a text: codes are often numbers.
var scalarShape = fileShape{"type": []string{"string", "number", "boolean"}}

// fieldsShape is a set: names of canonical fields, a dotted one for a part, and name[] for the lines of a document.
var fieldsShape = fileShape{"type": "object", "description": "canonical fields, in order: later ones may use earlier ones",
	"additionalProperties": valueShape("an expression"), "patternProperties": map[string]any{`\[\]$`: namedShape("the fields of each line", valueShape("an expression"))}}

// bodyShape is a posting's body: like a set, but parts may be nested.
var bodyShape = fileShape{"type": "object", "description": "the document as the target takes it"}

// dayShape is a day.
func dayShape(about string) fileShape {
	return fileShape{"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, "description": about}
}

// flagShape is true or false.
func flagShape(about string) fileShape { return fileShape{"type": "boolean", "description": about} }

// sectionShapes are the sections of a mapping; TestSchemaKnowsEveryKey asks for one of each.
var sectionShapes = map[string]fileShape{
	"mapping": textShape("the name of the carrier"),
	"version": {"type": []string{"string", "number"}, "description": "raised with each change; stamped on every event"},
	"company": {"type": "string", "pattern": companyForm.String(), "description": "the legal entity whose documents these are; needed where several mappings run in one daemon"},
	"cutover": {"type": "string", "format": "date-time", "description": "documents released before it are history and are not posted"},
	"shadow":  {"type": "boolean", "description": "documents are made and kept, and not sent before a person switches them on"},
	"sources": namedShape("the databases, by their names in waybill.yaml", recordShape("one database", sourceKeys, map[string]fileShape{
		"schema":   textShape("of tables that are named without one"),
		"zone":     textShape("of times without a zone: a name of the IANA time zone database, America/Chicago"),
		"dst":      eitherShape("what to do with a local time that happens twice or never", edgeWord, recordShape("twice and never apart", dstKeys, map[string]fileShape{"twice": edgeWord, "never": edgeWord})),
		"currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217"},
	}, "zone")),
	"owners":  ownersShape(),
	"bounds":  boundsShape(),
	"masters": mastersShape(),
	"exceptions": recordShape("who settles what, and how soon: by class (DATA) or code (POD_MISSING), of which the code counts first", []string{"due", "owners"}, map[string]fileShape{
		"due":    namedShape("how soon after it was opened", durationShape("48h")),
		"owners": namedShape("the team", textShape("a team")),
	}),
	"tables": namedShape("what is true of a table whatever reads it, by <source>.<table>", recordShape("a table", []string{"deleted"},
		map[string]fileShape{"deleted": valueShape("a row for which it holds is no row: the source marks what it deletes")}, "deleted")),
	"codes": namedShape("code tables", fileShape{"type": "object", "description": "code: canonical word, or its words in time",
		"additionalProperties": eitherShape("the word, or the words in the order of time", scalarShape, listShape("words in time, without gap or overlap",
			recordShape("a word for a time", []string{"word", "from", "until"}, map[string]fileShape{"word": scalarShape, "from": dayShape("the first day"), "until": dayShape("the last day")}, "word"))),
		"properties": map[string]any{"_unknown": wordShape("what to do with an unknown code", "hold", "null"),
			"_partner": textShape("whose codes these are"), "_version": scalarShape}}),
	"xref": namedShape("cross-references", recordShape("what a key of one system means in another", xrefKeys, map[string]fileShape{
		"from":     textShape("<source>.<table>"),
		"key":      eitherShape("the key columns", textShape("a column"), listShape("columns", textShape("a column"))),
		"valid":    fileShape{"type": "array", "items": textShape("a column"), "minItems": 2, "maxItems": 2, "description": "columns of the first and the last day"},
		"value":    namedShape("name: column", textShape("a column")),
		"rows":     listShape("rows that stand here, not in a table", namedShape("the key, the values, valid_from and valid_to", scalarShape)),
		"miss":     textShape("code of the problem of an unknown key"),
		"owner":    textShape("the team that settles it"),
		"registry": wordShape("the kind of the rows that people keep in the registry", RegistryKinds()...),
		"system":   textShape("whose keys these are, in the registry"),
		"role":     textShape("of the party, in the registry: bill_to"),
		"company":  textShape("the legal entity, in the registry"),
		"describe": fileShape{"type": "object", "description": "what the source says of a key, for candidates", "additionalProperties": textShape("a column"), "propertyNames": fileShape{"enum": RegistryTraits}},
	}, "key")),
	"lookups": lookupsShape(),
	"events": byEvent("events of one row", recordShape("a rule that makes an event of one row change", eventKeys, map[string]fileShape{
		"from":         textShape("<source>.<table>, or <source>.message(<prefix>)"),
		"when":         valueShape("the change that makes it: became(column, value)"),
		"key":          valueShape("the entity's id"),
		"company":      valueShape("the legal entity, where a column says it"),
		"at":           valueShape("when it happened"),
		"zone":         valueShape("of the time"),
		"lane":         wordShape("master data or transactions", "master", "transactional"),
		"order":        valueShape("events and postings of one order key keep their order"),
		"correlate":    namedShape("other entities that it is about, by their kind", valueShape("the id")),
		"seed":         valueShape("a row of the first reading for which it has happened before"),
		"set":          fieldsShape,
		"when_deleted": fieldsShape,
	}, "from", "key")),
	"documents": namedShape("documents of a header with its lines", recordShape("a document", documentKeys, map[string]fileShape{
		"root":        textShape("<source>.<table> as <name>"),
		"with":        listShape("tables beside the header", textShape("<source>.<table> as q on q.<column> = h.<column> order by q.<column>")),
		"members":     recordShape("what the lines of a consolidated document belong to", []string{"by", "bad"}, map[string]fileShape{"by": valueShape("the member of a line"), "bad": wordShape("what to do with a bad member", "hold", "carve_out")}, "by"),
		"company":     valueShape("the legal entity, where a column says it"),
		"currencies":  listShape("what gives a currency that must be the document's own", valueShape("an expression")),
		"purge":       durationShape("how long after its release it may be deleted without a word"),
		"lines":       textShape("<source>.<table> as l on l.<column> = h.<column> order by l.<column>"),
		"original":    eitherShape("what it corrects", textShape("<source>.<table> as o on o.<key> = h.<column>"), recordShape("the original by its key", []string{"key", "as"}, map[string]fileShape{"key": valueShape("the original's id"), "as": textShape("a name for its header")}, "key")),
		"key":         valueShape("the document's id"),
		"released_at": valueShape("when it was released"),
		"amount":      valueShape("the money that it is about"),
		"total":       wordShape("whose total wins", "source"),
		"tolerance":   {"type": []string{"string", "number"}, "description": "by which sums may differ"},
		"rounding":    recordShape("of money()", roundingKeys, map[string]fileShape{"places": {"type": "integer", "minimum": 0, "maximum": 6}, "mode": wordShape("how to round", roundings...)}),
		"correlate":   namedShape("other entities that it is about, by their kind", valueShape("the id")),
		"emit":        byEvent("its events; the first that holds counts", eitherShape("a condition, or more", valueShape("the condition"), recordShape("an event of the document", emitKeys, map[string]fileShape{"when": valueShape("the condition"), "after": textShape("waits for this event of the same correction group"), "credits": wordShape("what the event credits", "original"), "unsent": wordShape("what to do with a posting that was certainly never sent", "withdraw", "leave"), "set": fieldsShape}, "when"))),
		"assemble":    wordShape("where its rows come from", "state"),
		"complete":    recordShape("when it is whole", completeKeys, map[string]fileShape{"checks": listShape("equations that hold", textShape("count(l) == h.line_cnt")), "wait": durationShape("before people are told")}),
		"set":         fieldsShape,
	}, "root", "key", "released_at", "emit", "set", "amount", "total")),
	"cases": casesShape(),
	"posts": {"type": "object", "description": "<event>, <event> -> <sink>.<entity>: what the events ask of a target",
		"propertyNames": fileShape{"pattern": `^[a-z_.]+( *, *[a-z_.]+)* *-> *[^ .]+\.[^ .]+$`},
		"additionalProperties": recordShape("a posting", postKeys, map[string]fileShape{
			"external_id": valueShape("the natural key in the target"),
			"require":     listShape("what must have come before it", eitherShape("an event, an event with a condition, or a name with its key", textShape("<event> if <condition>"), fileShape{"type": "object", "additionalProperties": valueShape("the key"), "properties": map[string]any{"deadline": durationShape("then it is an exception"), "if": valueShape("a condition"), "company": valueShape("the legal entity of what is required, where it is another")}})),
			"sort":        valueShape("order among different keys where the target wants one"),
			"posting_date": recordShape("the day on which the target books it, where the document's period is closed", postingDateKeys, map[string]fileShape{
				"policy": wordShape("the target decides, the next open period, or a wait until the period is open", dateOfDocument, dateNextOpen, dateWait), "of": valueShape("the document's date; date unless it is said"),
				"periods": textShape("the lookup that says which periods are open; period unless it is said"), "most": fileShape{"type": "string", "pattern": daysForm.String(), "description": "by how much it may be later than the document: 31d"}}, "policy"),
			"schedule": scheduleShape(),
			"window":   windowShape(),
			"shadow":   {"type": "boolean", "description": "kept, and not sent before a person switches it on"},
			"body":     bodyShape,
		}, "external_id", "body")},
	"publish": publishShape(),
	"tests": listShape("inline tests: waybill map test", recordShape("a test", testKeys, map[string]fileShape{
		"name":   textShape("what it shows"),
		"unsent": flagShape("the targets take nothing"),
		"given":  eitherShape("transactions, snapshots and waits", fileShape{"type": "object"}, listShape("steps in order", fileShape{"type": "object"})),
		"expect": {"description": "events with some of their fields, and problems"},
	}, "name", "given", "expect")),
}

// ownersShape is who owns what.
func ownersShape() fileShape {
	shapes := map[string]fileShape{}
	for _, entity := range ownedEntities() {
		shapes[entity] = eitherShape("the source that owns it", textShape("a source"), recordShape("a source, and what becomes of what others say", []string{"source", "others"},
			map[string]fileShape{"source": textShape("a source"), "others": wordShape("what becomes of what others say", othersIgnore, othersException, othersPropose)}, "source"))
	}
	return recordShape("the system of record of each entity", ownedEntities(), shapes)
}

// casesShape is the section of the shipments' cases.
func casesShape() fileShape {
	strength := wordShape("of the key", string(keyStrong), string(keyShared), string(keyMedium), string(keyWeak))
	names := func(about string) fileShape { return listShape(about, textShape("a name")) }
	return recordShape("what belongs to one shipment", caseKeys, map[string]fileShape{
		"keys": namedShape("kinds of references, the strongest first", eitherShape("its strength", strength, recordShape("its strength and who issues it", []string{"strength", "issuer"},
			map[string]fileShape{"strength": strength, "issuer": textShape("such as SCAC")}, "strength"))),
		"rank":      names("sources whose reports go before those of the others, the first before all"),
		"fields":    names("canonical fields that a case keeps"),
		"wait":      durationShape("for what must come before"),
		"keep":      durationShape("after the case is closed"),
		"tolerance": durationShape("between two reports of one fact that agree"),
		"orphan":    durationShape("until a case without a load is told"),
		"backdated": durationShape("by which a report may be behind without a word"),
		"partial":   wordShape("what a partial delivery does", "hold", "bill"),
		"pod": recordShape("the proof of delivery", []string{"required", "within"},
			map[string]fileShape{"required": valueShape("a condition on the case's fields"), "within": durationShape("after the delivery")}, "required"),
		"detention": recordShape("waiting time", []string{"charges", "free", "hold"},
			map[string]fileShape{"charges": names("charges that bill it"), "free": durationShape("that is not billed"), "hold": durationShape("for its approval")}, "charges", "free"),
		"disputes": recordShape("disputes", []string{"whole"}, map[string]fileShape{"whole": valueShape("whether a dispute holds the whole document")}, "whole"),
	}, "keys")
}

// edgeWord is what is done at the edges of daylight saving time.
var edgeWord = wordShape("a local time that is not one instant", edgeEarlier, edgeLater, edgeRefuse)

// byEvent is a record whose keys are events of the catalogue; a second rule of one is told apart by its source: name@source.
func byEvent(about string, rule fileShape) fileShape {
	s := namedShape(about, rule)
	s["propertyNames"] = fileShape{"anyOf": []fileShape{{"enum": eventNames()}, {"pattern": "^[a-z_.]+@."}}}
	return s
}

// boundsShape is the section bounds: for every rule, and others for some.
func boundsShape() fileShape {
	count := eitherShape("a number, or none", fileShape{"type": "integer", "minimum": 1}, wordShape("any number", "none"))
	shapes := map[string]fileShape{
		"events": count,
		"posts":  count,
		"money":  eitherShape("an amount of any one currency, or none", fileShape{"type": []string{"string", "number"}}, wordShape("any amount", "none")),
		"per":    eitherShape("of one transaction, or in a window of the watermark", wordShape("of each transaction", "transaction"), durationShape("10m")),
	}
	one := recordShape("how much one rule may make before a person is asked", boundKeys, shapes)
	shapes["rules"] = byEvent("other bounds, by event", one)
	return recordShape("how much one rule may make before a person is asked", append(slices.Clone(boundKeys), "rules"), shapes)
}

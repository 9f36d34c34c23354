package http

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The formats of a body.
const (
	formatJSON = "json"
	formatXML  = "xml"
	formatForm = "form"
	formatNone = "none"
)

// bodyTemplate is a body whose names in braces are filled in for each posting.
type bodyTemplate struct {
	format string
	parts  []bodyPart
}

// bodyPart is a text, a name, or what is repeated for each element of a list.
type bodyPart struct {
	text     string
	name     string
	optional bool
	quoted   bool // in JSON: it stands within quotes
	each     []bodyPart
}

var bodyToken = regexp.MustCompile(`\{(each )?([A-Za-z_][A-Za-z0-9_.]*)(\?)?\}`)

// parseBody reads a template and tries it, so that a body that can never be right is found before the first posting.
func parseBody(text, format string) (*bodyTemplate, error) {
	p := &bodyParser{text: text, tokens: bodyToken.FindAllStringSubmatchIndex(text, -1), json: format == formatJSON}
	parts, err := p.parts(false)
	if err != nil {
		return nil, err
	}
	t := &bodyTemplate{format, parts}
	return t, t.try()
}

type bodyParser struct {
	text   string
	tokens [][]int
	at     int // in text
	json   bool
	quoted bool // in JSON: within quotes
}

// parts reads until the end, or until {end}.
func (p *bodyParser) parts(within bool) (parts []bodyPart, err error) {
	for len(p.tokens) > 0 {
		t := p.tokens[0]
		p.tokens = p.tokens[1:]
		parts = append(parts, p.literal(t[0]))
		p.at = t[1]
		name, each, optional := p.text[t[4]:t[5]], t[2] >= 0, t[6] >= 0
		switch {
		case name == "end" && !each && !optional:
			if !within {
				return nil, errors.New("an {each …} before {end}")
			}
			return parts, nil
		case each:
			if p.quoted {
				return nil, errors.New("no {each …} within quotes")
			}
			inner, err := p.parts(true)
			if err != nil {
				return nil, err
			}
			if p.quoted {
				return nil, errors.New("{end} outside of quotes")
			}
			parts = append(parts, bodyPart{name: name, optional: optional, each: inner})
		default:
			parts = append(parts, bodyPart{name: name, optional: optional, quoted: p.quoted})
		}
	}
	if within {
		return nil, errors.New("an {end} for each {each …}")
	}
	return append(parts, p.literal(len(p.text))), nil
}

// literal is the text up to end; in JSON it follows the quotes.
func (p *bodyParser) literal(end int) bodyPart {
	text := p.text[p.at:end]
	p.at = end
	for i := 0; p.json && i < len(text); i++ {
		switch {
		case text[i] == '"':
			p.quoted = !p.quoted
		case text[i] == '\\' && p.quoted:
			i++
		}
	}
	return bodyPart{text: text}
}

// try fills the template with samples and reads what comes out.
func (t *bodyTemplate) try() error {
	for n := range 3 {
		var b strings.Builder
		sample(&b, t.parts, n, t.format == formatJSON)
		switch t.format {
		case formatJSON:
			if !json.Valid([]byte(b.String())) {
				return errors.New("JSON, with names in braces for its values")
			}
		case formatXML:
			if _, err := readXML([]byte(b.String())); err != nil {
				return errors.New("well-formed XML with one root")
			}
		}
	}
	return nil
}

func sample(b *strings.Builder, parts []bodyPart, n int, isJSON bool) {
	for _, p := range parts {
		switch {
		case p.each != nil:
			for i := range n {
				if i > 0 && isJSON {
					b.WriteByte(',')
				}
				sample(b, p.each, n, isJSON)
			}
		case p.name == "":
			b.WriteString(p.text)
		case isJSON && !p.quoted:
			b.WriteByte('0')
		default:
			b.WriteByte('x')
		}
	}
}

// fill makes the body of a posting. A name that it has no value of is an error, unless it is optional.
func (t *bodyTemplate) fill(s scope) (string, error) {
	var b strings.Builder
	err := t.write(&b, t.parts, s)
	return b.String(), err
}

func (t *bodyTemplate) write(b *strings.Builder, parts []bodyPart, s scope) error {
	for _, p := range parts {
		var err error
		switch {
		case p.each != nil:
			err = t.repeat(b, p, s)
		case p.name == "":
			b.WriteString(p.text)
		default:
			err = t.put(b, p, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *bodyTemplate) repeat(b *strings.Builder, p bodyPart, s scope) error {
	found, ok := s.value(p.name)
	list, isList := found.([]any)
	if !isList && !(p.optional && (!ok || found == nil)) {
		return fmt.Errorf("the body needs the list %s, which the posting does not have", p.name)
	}
	for i, element := range list {
		if i > 0 && t.format == formatJSON {
			b.WriteByte(',')
		}
		inner := s
		inner.within = append(append([]any{}, s.within...), element)
		if err := t.write(b, p.each, inner); err != nil {
			return err
		}
	}
	return nil
}

func (t *bodyTemplate) put(b *strings.Builder, p bodyPart, s scope) error {
	found, ok := s.value(p.name)
	if (!ok || found == nil) && !p.optional {
		return fmt.Errorf("the body needs %s, of which the posting has no value", p.name)
	}
	if t.format == formatJSON && !p.quoted {
		return putJSON(b, found)
	}
	text, plain := plainText(found)
	if !plain && found != nil {
		return fmt.Errorf("the body needs a plain value of %s; the posting has a list or an object", p.name)
	}
	switch t.format {
	case formatJSON:
		var quoted strings.Builder
		if err := putJSON(&quoted, text); err != nil {
			return err
		}
		b.WriteString(strings.TrimSuffix(strings.TrimPrefix(quoted.String(), `"`), `"`))
	case formatXML:
		return putXML(b, p.name, text)
	default:
		b.WriteString(url.QueryEscape(text))
	}
	return nil
}

func putJSON(b *strings.Builder, v any) error {
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing a value of the body: %w", err)
	}
	b.Write(bytes.TrimRight(raw.Bytes(), "\n"))
	return nil
}

// putXML escapes a text for an element or an attribute. A character that XML cannot carry is refused (Invariant 10).
func putXML(b *strings.Builder, name, text string) error {
	for _, r := range text {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == utf8.RuneError || r == 0xfffe || r == 0xffff {
			return fmt.Errorf("the value of %s has the character %U, which XML cannot carry", name, r)
		}
	}
	var raw bytes.Buffer
	if err := xml.EscapeText(&raw, []byte(text)); err != nil {
		return fmt.Errorf("writing a value of the body: %w", err)
	}
	_, err := io.Copy(b, &raw)
	return err
}

// mediaType is what a format is called in a header.
func mediaType(format string) string {
	switch format {
	case formatXML:
		return "application/xml; charset=utf-8"
	case formatForm:
		return "application/x-www-form-urlencoded"
	}
	return "application/json"
}

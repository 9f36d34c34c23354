package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/transform"
)

// EditRequest changes by hand the body of a posting that its target refused: as a JSON merge patch (RFC 7396), or whole. Of what the
// mapping holds it writes canonical fields: the patch's members.
type EditRequest struct {
	ID       string          `json:"id"`                // of the exception
	Subject  string          `json:"subject,omitempty"` // which of those who wait, where the mapping holds several
	Patch    json.RawMessage `json:"patch,omitempty"`
	Body     json.RawMessage `json:"body,omitempty"`
	Resubmit bool            `json:"resubmit,omitempty"` // and send it
	By       string          `json:"by"`
	Why      string          `json:"why"`
}

// EditView is what an edit changes, or changed.
type EditView struct {
	Exception ExceptionView   `json:"exception"`
	Changes   []BodyChange    `json:"changes"`
	Body      json.RawMessage `json:"body"`     // afterwards
	Original  json.RawMessage `json:"original"` // as the mapping built it
	Notes     []string        `json:"notes,omitempty"`
}

// BodyChange is one value that differs.
type BodyChange struct {
	Path string          `json:"path"`          // lines[0].account
	Was  json.RawMessage `json:"was,omitempty"` // none: it was not there
	Is   json.RawMessage `json:"is,omitempty"`  // none: it is gone
}

// bodyEdit is an edit in its journal entry: of a delivery's body, or of fields of what the mapping holds.
type bodyEdit struct {
	Delivery string                     `json:"delivery,omitempty"`
	Was      string                     `json:"was,omitempty"` // digest of the body that the person saw
	Body     json.RawMessage            `json:"body,omitempty"`
	Subject  string                     `json:"subject,omitempty"`
	Fields   map[string]json.RawMessage `json:"fields,omitempty"`
	Changes  []BodyChange               `json:"changes"`
	Resubmit bool                       `json:"resubmit,omitempty"`
}

// maxEdited bounds an edited body, in bytes.
const maxEdited = 256 << 10

// note is the edit in words, for the audit.
func (e *bodyEdit) note() string {
	parts := make([]string, 0, len(e.Changes))
	for _, c := range e.Changes {
		parts = append(parts, c.text())
	}
	return clip(strings.Join(parts, "; "), 1000)
}

func (c *BodyChange) text() string {
	return fmt.Sprintf("%s: %s → %s", c.Path, shownValue(c.Was), shownValue(c.Is))
}

// shownValue is a value for people, without the escapes that the journal's JSON has.
func shownValue(raw json.RawMessage) string {
	if raw == nil {
		return "nothing"
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err == nil {
		raw = rawOf(v)
	}
	return clip(string(raw), 200)
}

// EditError says what is wrong with an edited body, and what to write.
type EditError struct {
	Field    string
	Found    string
	Expected string
}

func (e *EditError) Error() string {
	if e.Expected == "" {
		return e.Field + ": " + e.Found
	}
	return fmt.Sprintf("%s: found %s, expected %s", e.Field, e.Found, e.Expected)
}

// edited applies the request to a body.
func (r *EditRequest) edited(body json.RawMessage) (was, is any, err error) {
	if (len(r.Patch) > 0) == (len(r.Body) > 0) {
		return nil, nil, errors.New("an edit needs a patch or a whole body, and not both")
	}
	if was, err = parseBody(body); err != nil {
		return nil, nil, err
	}
	if len(r.Body) > 0 {
		is, err = parseBody(r.Body)
		return was, is, err
	}
	patch, err := parseBody(r.Patch)
	if err != nil {
		return nil, nil, err
	}
	again, err := parseBody(body) // merged into a copy of its own
	return was, merge(again, patch), err
}

// parseBody reads one JSON object, numbers as they are written.
func parseBody(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil || v == nil {
		return nil, &EditError{"the body", clip(string(raw), 80), "one JSON object"}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &EditError{"the body", "more behind the object", "one JSON object"}
	}
	return v, nil
}

// merge is a JSON merge patch: null removes, objects are merged, everything else replaces.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
			continue
		}
		t[k] = merge(t[k], v)
	}
	return t
}

// differences lists what is not equal, in the order of the names.
func differences(path string, was, is any, into []BodyChange) []BodyChange {
	a, aIs := was.(map[string]any)
	b, bIs := is.(map[string]any)
	if aIs && bIs {
		for _, k := range both(a, b) {
			at := strings.TrimPrefix(path+"."+k, ".")
			x, hasX := a[k]
			y, hasY := b[k]
			switch {
			case !hasX:
				into = append(into, BodyChange{Path: at, Is: rawOf(y)})
			case !hasY:
				into = append(into, BodyChange{Path: at, Was: rawOf(x)})
			default:
				into = differences(at, x, y, into)
			}
		}
		return into
	}
	x, xIs := was.([]any)
	y, yIs := is.([]any)
	if xIs && yIs && len(x) == len(y) {
		for i := range x {
			into = differences(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], into)
		}
		return into
	}
	if from, to := rawOf(was), rawOf(is); !bytes.Equal(from, to) {
		into = append(into, BodyChange{Path: path, Was: from, Is: to})
	}
	return into
}

func both(a, b map[string]any) []string {
	keys := names(a)
	for _, k := range names(b) {
		if _, twice := a[k]; !twice {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// rawOf writes a value as bodies are written: names sorted, nothing escaped that need not be.
func rawOf(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // of what was decoded from JSON: cannot fail
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// checkBody refuses what an edit must not do: change the kind of a field, the key by which the target is asked, or the money that the
// document is about, and write a number that a float may bend.
func checkBody(post transform.Post, was, is any, changes []BodyChange) error {
	if len(changes) == 0 {
		return errors.New("the edit changes nothing")
	}
	if err := exactNumbers("", is); err != nil {
		return err
	}
	old, now := was.(map[string]any), is.(map[string]any)
	for _, k := range names(old) {
		next, stays := now[k]
		if stays && next != nil && old[k] != nil && kindOf(next) != kindOf(old[k]) {
			return &EditError{k, kindOf(next), kindOf(old[k]) + ", as the mapping builds it"}
		}
		text, isText := old[k].(string)
		switch {
		case !isText || stays && next == old[k]:
		case text == post.ExternalID:
			return &EditError{k, string(rawOf(next)), fmt.Sprintf("%q: it is the key by which the target is asked, and stays", text)}
		case post.Amount != nil && sameAmount(text, post.Amount.Amount):
			if n, ok := next.(string); !ok || !sameAmount(n, text) {
				return &EditError{k, string(rawOf(next)), fmt.Sprintf("%q: the money of a document is corrected at its source, by a rebill or a credit", text)}
			}
		}
	}
	return nil
}

func sameAmount(a, b string) bool {
	x, err := decimal.NewFromString(a)
	y, yerr := decimal.NewFromString(b)
	return err == nil && yerr == nil && x.Equal(y)
}

func exactNumbers(path string, v any) error {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return &EditError{strings.TrimPrefix(path, "."), v.String(), fmt.Sprintf("the text %q: a decimal is written as text, so that it stays exact", v)}
		}
	case map[string]any:
		for _, k := range names(v) {
			if err := exactNumbers(path+"."+k, v[k]); err != nil {
				return err
			}
		}
	case []any:
		for i, x := range v {
			if err := exactNumbers(fmt.Sprintf("%s[%d]", path, i), x); err != nil {
				return err
			}
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "nothing"
}

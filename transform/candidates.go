package transform

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// RegistryTraits are the attributes by which candidates are found, beside the key itself.
var RegistryTraits = []string{"name", "tax_id", "street", "city", "postal_code"}

// Candidate is a canonical id that an unknown key may mean. It is shown, and never applied by itself.
type Candidate struct {
	Canonical string   `json:"canonical"`
	Row       string   `json:"row"` // the row that shows it best; its attributes may be taken over
	Why       []string `json:"why"` // what is equal, strongest first
	rank      int
}

// String says it in one sentence's part: "C-00018: same tax id 361234567".
func (c Candidate) String() string { return c.Canonical + ": " + strings.Join(c.Why, ", ") }

// The ways by which a candidate is found, strongest first, and how people read them. A name with its address is stronger than the name.
var ways = []struct{ way, words string }{
	{"tax_id", "same tax id %s"},
	{"key", "same key %s"},
	{"name_address", "same name and address %s"},
	{"name", "same name %s"},
	{"address", "same address %s"},
}

// Bounds of a search (Invariant 7).
const (
	candidatesEach = 20 // rows of one way
	candidatesMost = 5
)

// Candidates returns what an unknown key may mean: who answers in the registry under the same key in another system, with the same tax
// id, or with the same name or address once they are normalised. Nothing is guessed: what is equal is said.
func (g Registry) Candidates(k RegistryKey, facts map[string]string) ([]Candidate, error) {
	found := map[string]*Candidate{}
	own := findable(k.Key, facts)
	for rank, w := range ways {
		value := own[w.way]
		if value == "" {
			continue
		}
		rows, err := g.listed(bucketRegistryBy, stateKey(k.Kind, w.way, value)+separator, candidatesEach)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if !r.Answers() {
				continue
			}
			c := found[r.Canonical]
			if c == nil {
				c = &Candidate{Canonical: r.Canonical, Row: r.ID, rank: rank}
				found[r.Canonical] = c
			}
			if why := fmt.Sprintf(w.words, value); !contains(c.Why, why) && !implied(c.Why, w.way) {
				c.Why = append(c.Why, why)
			}
		}
	}
	var all []Candidate
	for _, c := range found {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(len(b.Why), len(a.Why)), strings.Compare(a.Canonical, b.Canonical))
	})
	return all[:min(len(all), candidatesMost)], nil
}

// implied leaves out a name or an address that was told together.
func implied(why []string, way string) bool {
	return (way == "name" || way == "address") && slices.ContainsFunc(why, func(s string) bool { return strings.HasPrefix(s, "same name and address") })
}

// findable are the normalised values by which a row is found, each way once.
func findable(key string, facts map[string]string) map[string]string {
	all := map[string]string{"key": key, "tax_id": plainID(facts["tax_id"]), "name": plainName(facts["name"]),
		"address": plainAddress(facts["street"], facts["postal_code"])}
	if all["name"] != "" && all["address"] != "" {
		all["name_address"] = all["name"] + ", " + all["address"]
	}
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return all
}

// plainID keeps the letters and digits of a number that an authority issued. Numbers that stand for none are none.
func plainID(s string) string {
	id := strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s))
	if len(id) < 5 || strings.Trim(id, id[:1]) == "" { // 000000000, 999999999
		return ""
	}
	return id
}

// legalForms end a name and say nothing of who it is.
var legalForms = []string{"INC", "INCORPORATED", "LLC", "LLP", "LP", "LTD", "LIMITED", "CO", "COMPANY", "CORP", "CORPORATION", "PLC", "GMBH", "AG", "SA", "BV"}

// plainName is a name in capitals without punctuation and legal form: "Lone Star Foods, Inc." is LONE STAR FOODS.
func plainName(s string) string {
	words := plainWords(strings.ReplaceAll(s, "&", " AND "))
	for len(words) > 1 && slices.Contains(legalForms, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	if len(words) > 1 && words[0] == "THE" {
		words = words[1:]
	}
	return strings.Join(words, " ")
}

// streetWords are written in their short form, as the postal services write them.
var streetWords = map[string]string{"STREET": "ST", "AVENUE": "AVE", "ROAD": "RD", "BOULEVARD": "BLVD", "DRIVE": "DR", "LANE": "LN", "HIGHWAY": "HWY",
	"PARKWAY": "PKWY", "COURT": "CT", "PLACE": "PL", "SUITE": "STE", "BUILDING": "BLDG", "FLOOR": "FL", "NORTH": "N", "SOUTH": "S", "EAST": "E", "WEST": "W",
	"NORTHEAST": "NE", "NORTHWEST": "NW", "SOUTHEAST": "SE", "SOUTHWEST": "SW"}

// plainAddress is street and postal code; a ZIP code without its last four. Without both there is no address to compare.
func plainAddress(street, postal string) string {
	words := plainWords(street)
	for i, w := range words {
		if short, ok := streetWords[w]; ok {
			words[i] = short
		}
	}
	code, rest, dashed := strings.Cut(strings.TrimSpace(postal), "-")
	if !dashed || len(code) != 5 || len(rest) != 4 {
		code = postal
	}
	if code = strings.Join(plainWords(code), ""); len(words) == 0 || code == "" {
		return ""
	}
	return strings.Join(words, " ") + " " + code
}

// plainWords are the words of a text in capitals. A point or an apostrophe inside a word joins: "L.L.C." is LLC.
func plainWords(s string) []string {
	s = strings.NewReplacer(".", "", "'", "", "’", "").Replace(strings.ToUpper(s))
	return strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

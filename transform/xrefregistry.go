package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// A cross-reference whose rows stand in the registry:
//
//	customer:
//	  registry: customer            the kind; it says the code of the exception, too
//	  system: acme.billing         whose keys these are, the same name for everyone
//	  role: bill_to                 optional
//	  company: ACME                optional: the legal entity
//	  key: cust_cd
//	  value: { account: erp_account }    members and the attributes that a row must have; .id is the canonical id
//	  from: billing.bill_cust       optional: where the source describes its keys, for candidates
//	  describe: { name: cust_nm, tax_id: fed_id }
//
// It is looked up as of a date, always.

// registryNot are the keys that a cross-reference of the registry does not take, and why.
var registryNot = map[string]string{
	"rows":  "waybill xref import, which enters rows into the registry",
	"valid": "nothing; each row of the registry has its days",
	"miss":  "nothing; the kind says the code",
}

func (c *compiler) xrefRegistry(x *xref, xf field, got map[string]field) {
	for _, k := range slices.Sorted(maps.Keys(registryNot)) {
		if f, ok := got[k]; ok {
			c.fault(f.at, fmt.Sprintf("%s beside registry in xref %s", k, x.name), "rows that people keep in the registry", registryNot[k])
		}
	}
	x.registry, x.dated = &RegistryKey{Kind: c.choice(got["registry"].value, "a kind of the registry", RegistryKinds()...)}, true
	x.miss = registryKinds[x.registry.Kind]
	if !c.need(xf.at, got, "xref "+x.name, "system") {
		return
	}
	if len(x.key) != 1 {
		c.fault(got["key"].value, fmt.Sprintf("a key of %d parts", len(x.key)), "one part in the registry",
			"one name, and join the parts where it is looked up: xref."+x.name+"(a + \"-\" + b, as_of=<date>)")
		x.key = []string{x.name}
	}
	x.registry.System = c.text(got["system"].value, "a system")
	for k, into := range map[string]*string{"role": &x.registry.Role, "company": &x.registry.Company} {
		if f, ok := got[k]; ok {
			*into = c.text(f.value, "a "+k)
		}
	}
	if f, ok := got["value"]; ok {
		for _, v := range c.fields(f.value, "value") {
			x.values = append(x.values, xrefValue{name: v.key, attribute: c.text(v.value, "an attribute of the registry's rows")})
		}
	}
	c.described(x, got)
}

// described reads where the source describes its keys.
func (c *compiler) described(x *xref, got map[string]field) {
	if f, ok := got["from"]; ok {
		if x.table = c.rowsOf(f.value, c.text(f.value, "<source>.<table>")); x.table == nil {
			return
		}
		x.table.xrefs = append(x.table.xrefs, x)
		x.keyCols = []int{c.plainColumn(got["key"].value, x.table, x.key[0])}
	}
	f, ok := got["describe"]
	if !ok {
		return
	}
	for _, v := range c.fields(f.value, "describe") {
		if !slices.Contains(RegistryTraits, v.key) {
			c.fault(v.at, fmt.Sprintf("%q in describe", v.key), "one of "+strings.Join(RegistryTraits, ", "), suggest(v.key, RegistryTraits))
			continue
		}
		column := c.text(v.value, "a column")
		switch {
		case x.table != nil:
			x.describe = append(x.describe, xrefValue{name: v.key, col: c.plainColumn(v.value, x.table, column)})
		case column == x.key[0]:
			x.describe = append(x.describe, xrefValue{name: v.key, col: keyItself})
		default:
			c.fault(v.value, fmt.Sprintf("the column %s of no table", column), "a column of the table under from, or "+x.key[0]+", the key itself", "from: <source>.<table>")
		}
	}
}

// keyItself stands for a column: the key is the value.
const keyItself = -1

// registryOnly refuses what only a cross-reference of the registry has.
func (c *compiler) registryOnly(xf field, got map[string]field) {
	for _, k := range []string{"system", "role", "company", "describe"} {
		if f, ok := got[k]; ok {
			c.fault(f.at, k+" in xref "+xf.key+" without registry", "rows that people keep in the registry",
				"registry: "+strings.Join(RegistryKinds(), ", "))
		}
	}
}

func (x *xref) inRegistry(key string) RegistryKey {
	k := *x.registry
	k.Key = key
	return k
}

// registered looks a key up as of a day.
func (x *xref) registered(st State, key, day string) ref.Val {
	at := x.inRegistry(key)
	row, err := Registry{st}.Find(at, day)
	if err != nil {
		return types.WrapErr(&stateError{err})
	}
	var t *trouble
	if row == nil {
		t, err = x.unregistered(st, at, day)
	} else {
		found := record{"id": types.String(row.Canonical)}
		var lacking []string
		for _, v := range x.values {
			text := row.Attributes[v.attribute]
			if text == "" {
				lacking = append(lacking, v.attribute)
			}
			found[v.name] = types.String(text)
		}
		if lacking == nil {
			return found
		}
		t = x.lacking(at, row, day, lacking)
	}
	if err != nil {
		return types.WrapErr(&stateError{err})
	}
	return types.WrapErr(t)
}

// facts is what the source says about a key, for people and for candidates.
func (x *xref) facts(st State, key string) (map[string]string, error) {
	facts := map[string]string{}
	var r *row
	if x.table != nil {
		err := st.Scan(x.bucket(), stateKey(key)+separator, "", func(_ string, raw []byte) (bool, error) {
			_, found, err := decodeRow(x.table, raw)
			r = found
			return true, err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, d := range x.describe {
		text := key
		if d.col != keyItself {
			if r == nil {
				continue
			}
			v := r.value(d.col)
			if types.IsError(v) {
				continue // what cannot be read describes nothing
			}
			text = textOf(v)
		}
		if text = strings.TrimSpace(text); text != "" {
			facts[d.name] = clip(text, maxAttribute)
		}
	}
	return facts, nil
}

// maxAttribute bounds an attribute of a row, in bytes.
const maxAttribute = 200

// unregistered is the trouble of a key that no row answers for on the day, with what it may mean.
func (x *xref) unregistered(st State, at RegistryKey, day string) (*trouble, error) {
	facts, err := x.facts(st, at.Key)
	if err != nil {
		return nil, err
	}
	candidates, err := Registry{st}.Candidates(at, facts)
	if err != nil {
		return nil, err
	}
	t := x.ofKey(at, day)
	t.title = fmt.Sprintf("The %s is not in the registry on %s.", named(at, facts["name"]), day)
	if len(candidates) > 0 {
		t.title += " It may be " + candidates[0].String() + "."
		t.evidence["candidates"] = candidates
	}
	if len(facts) > 0 {
		t.evidence["facts"] = facts
	}
	t.hint = "waybill xref show " + at.Arguments() + " lists what it may be. Propose a row and approve it; everything that waits goes on by itself."
	return t, nil
}

// lacking is the trouble of a row that has not all that the rules need.
func (x *xref) lacking(at RegistryKey, row *RegistryRow, day string, attributes []string) *trouble {
	t := x.ofKey(at, day)
	t.title = fmt.Sprintf("The %s is %s on %s, but row %s of the registry has no %s.", named(at, ""), row.Canonical, day, row.ID, strings.Join(attributes, ", "))
	t.hint = "Let another row take its place: waybill xref split " + row.ID + " --into " + row.Canonical + " --from " + day + " --set " + attributes[0] + "=…; what waits goes on by itself."
	t.evidence["row"], t.evidence["lacking"] = row.ID, attributes
	return t
}

func (x *xref) ofKey(at RegistryKey, day string) *trouble {
	return &trouble{class: "MASTER", code: x.miss, cause: at.cause(), owner: x.owner, evidence: map[string]any{"registry": at, "as_of": day}}
}

// named is a key for people, with the name that its source gives it.
func named(k RegistryKey, name string) string {
	text := fmt.Sprintf("%s %q of %s", strings.ReplaceAll(k.Kind, "_", " "), k.Key, k.System)
	if k.Role != "" {
		text += " (" + k.Role + ")"
	}
	if name != "" {
		text += ", " + name + ","
	}
	return text
}

// Arguments names the key as the commands take it.
func (k RegistryKey) Arguments() string {
	text := k.Kind + " " + shellWord(k.System) + " " + shellWord(k.Key)
	if k.Role != "" {
		text += " --role " + shellWord(k.Role)
	}
	if k.Company != "" {
		text += " --company " + shellWord(k.Company)
	}
	return text
}

// shellWord quotes a word for a shell where it needs it.
func shellWord(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:@", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

package transform

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"waybill/cdc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const northstarFile = "../testdata/carriers/northstar/mapping.yaml"

// northstar parses the sample carrier's mapping, with replacements for tests that change a rule.
func northstar(t testing.TB, replace ...string) *Mapping {
	t.Helper()
	src, err := os.ReadFile(northstarFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%q is not in the mapping", replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	m, err := Parse("mapping.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// columns reads "name kind key!, name kind" into columns. A kind may carry labels: enum(A B).
func columns(spec string) []cdc.Column {
	kinds := map[string]cdc.Kind{}
	for k := cdc.KindUnsupported; k <= cdc.KindEnum; k++ {
		kinds[k.String()] = k
	}
	var all []cdc.Column
	for _, part := range strings.Split(spec, ",") {
		words := strings.Fields(strings.NewReplacer("(", " ", ")", "").Replace(part))
		name, key := strings.CutSuffix(words[0], "!")
		all = append(all, cdc.Column{Name: name, Kind: kinds[words[1]], Type: words[1], Key: key, Labels: words[2:]})
	}
	return all
}

// catalog is what the databases of the sample carrier look like (dispatch.sql and billing.sql).
func catalog() map[string][]*cdc.Schema {
	table := func(source, schema, name, spec string) *cdc.Schema {
		return &cdc.Schema{Source: source, Table: cdc.Table{Schema: schema, Name: name}, Codec: "test/1", Columns: columns(spec)}
	}
	return map[string][]*cdc.Schema{
		"dispatch": {
			table("dispatch", "public", "customers", "cust_cd! text, name text, addr1 text, city text, state text, zip text, email text, phone text, tax_id text, terms_cd text, active_flg text, upd_ts timestamp"),
			table("dispatch", "public", "loads", "load_no! int, cust_cd text, shipper_cd text, cons_cd text, bol_no text, status_cd text, driver_id int, unit_no text, pcs_ord int, pcs_dlv int, wt_lbs decimal, ord_ts timestamp, dep_ts timestamp, dlv_dt date, dlv_tm time, pod_ts timestamp, rcvd_by text, note text, upd_ts timestamp"),
			table("dispatch", "public", "stops", "load_no! int, stop_seq! int, stop_typ text, loc_cd text, arr_ts timestamp, dep_ts timestamp"),
			table("dispatch", "public", "accessorials", "acc_id! int, load_no int, chg_cd text, qty decimal, rate decimal, amt decimal, appr_flg text, appr_by text, upd_ts timestamp"),
		},
		"billing": {
			table("billing", "billing", "bill_cust", "cust_cd! text, erp_acct text, eff_dt! date, end_dt date"),
			table("billing", "billing", "inv_hdr", "inv_no! text, rev_no int, load_no int, cust_cd text, stat text, inv_dt date, cur_cd text, line_cnt int, tax_amt decimal, inv_amt decimal, orig_inv_no text, memo text, rel_ts timestamp, upd_ts timestamp"),
			table("billing", "billing", "inv_line", "inv_no! text, line_no! int, chg_cd text, descr text, qty decimal, rate decimal, ext_amt decimal, tax_cd text"),
		},
	}
}

func TestNorthstarPassesItsOwnTests(t *testing.T) {
	m := northstar(t)
	results := m.Test()
	if len(results) == 0 {
		t.Fatal("no inline tests")
	}
	for _, r := range results {
		for _, f := range r.Fails {
			t.Errorf("line %d, %s: %s", r.Line, r.Name, f)
		}
	}
}

func TestNorthstarFitsItsDatabases(t *testing.T) {
	for _, f := range northstar(t).Check(catalog()) {
		t.Error(f)
	}
}

package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
)

// The reference that people read is made of the comments on the fields, so that it cannot drift from them.
func TestReference(t *testing.T) {
	sections := []struct {
		title, file, structure string
		hidden                 []string
	}{
		{"", "config.go", "Config", nil},
		{"sources.NAME, type postgres", "../../../cdc/postgres/config.go", "Config", nil},
		{"sources.NAME, type mariadb or mysql", "../../../cdc/mysql/config.go", "Config", []string{"name", "flavor"}},
		{"tls of mariadb and mysql", "../../../cdc/mysql/config.go", "TLS", nil},
		{"snapshot of every source", "snapshot.go", "Snapshot", nil},
		{"sinks.NAME, type tryton", "../../../sinks/erp/tryton_config.go", "TrytonConfig", nil},
		{"sinks.NAME, type netsuite", "../../../sinks/erp/netsuite/config.go", "Config", nil},
		{"taxes.NAME of netsuite", "../../../sinks/erp/netsuite/config.go", "Tax", nil},
		{"sinks.NAME, type s4hana", "../../../sinks/erp/s4hana/config.go", "Config", nil},
		{"document_types of s4hana", "../../../sinks/erp/s4hana/config.go", "DocumentTypes", nil},
		{"tax_codes.NAME of s4hana", "../../../sinks/erp/s4hana/config.go", "TaxCode", nil},
		{"partner of s4hana", "../../../sinks/erp/s4hana/config.go", "Partner", nil},
		{"product of s4hana", "../../../sinks/erp/s4hana/config.go", "Product", nil},
		{"sinks.NAME, type http", "../../../sinks/http/config.go", "Config", nil},
		{"entities.NAME of http", "../../../sinks/http/config.go", "Entity", nil},
		{"error of an entity of http", "../../../sinks/http/config.go", "ErrorAt", nil},
		{"outcomes of an entity of http, and of its verify", "../../../sinks/http/config.go", "Line", nil},
		{"verify of an entity of http", "../../../sinks/http/config.go", "Verify", nil},
		{"probe of http", "../../../sinks/http/config.go", "Probe", nil},
		{"auth of sinks and services over HTTP", "../../../sinks/web/config.go", "AuthConfig", nil},
		{"auth.basic", "../../../sinks/web/basic.go", "Basic", nil},
		{"auth.bearer", "../../../sinks/web/bearer.go", "Bearer", nil},
		{"auth.api_key", "../../../sinks/web/apikey.go", "APIKey", nil},
		{"auth.oauth2", "../../../sinks/web/oauth2.go", "OAuth2", nil},
		{"auth.oauth2.assertion", "../../../sinks/web/assertion.go", "Assertion", nil},
		{"auth.oauth1", "../../../sinks/web/oauth1.go", "OAuth1", nil},
		{"auth.signature", "../../../sinks/web/signature.go", "Signature", nil},
		{"auth.csrf", "../../../sinks/web/csrf.go", "CSRF", nil},
		{"auth.tls", "../../../sinks/web/tls.go", "TLS", nil},
		{"sinks.NAME, type businesscentral", "../../../sinks/erp/businesscentral/config.go", "Config", nil},
		{"principals of businesscentral", "../../../sinks/erp/businesscentral/config.go", "Principal", nil},
		{"probe of businesscentral", "../../../sinks/erp/businesscentral/config.go", "Probe", nil},
		{"sinks.NAME, type sql_postgres, sql_mariadb or sql_mysql", "../../../sinks/sql/config.go", "Config", nil},
		{"tls of a table sink", "../../../sinks/sql/config.go", "TLS", nil},
		{"entities.NAME of a table sink", "../../../sinks/sql/entity.go", "Entity", nil},
		{"sinks.NAME, type ledger (a simulator for tests)", "entry.go", "Ledger", nil},
		{"sinks.NAME, type kafka", "../../../sinks/kafka/config.go", "Config", nil},
		{"create of kafka", "../../../sinks/kafka/config.go", "Create", nil},
		{"tls of kafka", "../../../sinks/kafka/config.go", "TLS", nil},
		{"sasl of kafka", "../../../sinks/kafka/config.go", "SASL", nil},
		{"sinks.NAME, type webhook", "../../../sinks/webhook/config.go", "Config", nil},
		{"sinks.NAME, type file", "../../../sinks/file/config.go", "Config", nil},
		{"sinks.NAME.policy", "../../../sinks/policy.go", "Policy", nil},
		{"blackout of a policy (a list)", "../../../sinks/blackout.go", "Blackout", nil},
		{"accounts.NAME", "../../../sinks/limits.go", "Limits", nil},
		{"adapt of an account or a policy", "../../../sinks/limits.go", "Adapt", nil},
		{"services.NAME, type http", "../../../sinks/httpjson/config.go", "Config", nil},
		{"services.NAME of every type", "entry.go", "Terms", nil},
		{"journal", "config.go", "Journal", nil},
		{"disk", "config.go", "Disk", nil},
		{"limits", "config.go", "Limits", nil},
		{"admin", "config.go", "Admin", nil},
		{"alerts", "config.go", "Alerts", nil},
		{"log", "config.go", "Log", nil},
	}
	var b strings.Builder
	b.WriteString("# waybill.yaml: reference\n\nMade of the comments in the code by `go test ./cmd/internal/config -update`. " +
		"A complete example with the defaults is\n[waybill.example.yml](waybill.example.yml). A secret may be given as a file: " +
		"`password_file` beside `password`. Where it says so, `password_command` is a program that prints\nit, as a list: [vault, read, -field=value, secret/erp]; no shell reads it, it has 10 s, and what it printed serves for a minute.\n")
	for _, s := range sections {
		if s.title != "" {
			fmt.Fprintf(&b, "\n## %s\n", s.title)
		}
		b.WriteString("\n| key | meaning |\n|---|---|\n")
		if strings.HasPrefix(s.title, "sources.") || strings.HasPrefix(s.title, "sinks.NAME, ") || strings.HasPrefix(s.title, "services.NAME, ") {
			b.WriteString("| `type` | as above |\n")
		}
		for _, f := range fieldsIn(t, s.file, s.structure) {
			if f.comment == "" && f.block {
				f.comment = "see below"
			}
			if !strings.Contains(" "+strings.Join(s.hidden, " ")+" ", " "+f.key+" ") {
				fmt.Fprintf(&b, "| `%s` | %s |\n", f.key, strings.ReplaceAll(f.comment, "|", `\|`))
			}
		}
		if strings.HasPrefix(s.title, "sources.") {
			b.WriteString("| `password` | of the user; or `password_file` |\n| `snapshot` | see below |\n")
		}
	}
	golden(t, folder+"/REFERENCE.md", b.String())
}

type field struct {
	key, comment string
	block        bool // has keys of its own
}

func fieldsIn(t *testing.T, file, structure string) []field {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var fields []field
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != structure {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			if f.Tag == nil {
				continue
			}
			key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("yaml")
			if key == "-" || key == "" {
				continue
			}
			name, named := f.Type.(*ast.Ident)
			fields = append(fields, field{key, strings.Join(strings.Fields(f.Doc.Text()+" "+f.Comment.Text()), " "), named && ast.IsExported(name.Name)})
		}
		return false
	})
	if len(fields) == 0 {
		t.Fatalf("no fields of %s in %s", structure, file)
	}
	return fields
}

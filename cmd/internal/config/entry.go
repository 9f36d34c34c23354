package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"waybill/cdc/mysql"
	"waybill/cdc/postgres"
	"waybill/pipeline"
	"waybill/sinks"
	"waybill/sinks/erp"
	"waybill/sinks/erp/businesscentral"
	"waybill/sinks/erp/netsuite"
	"waybill/sinks/erp/s4hana"
	"waybill/sinks/file"
	"waybill/sinks/http"
	"waybill/sinks/httpjson"
	"waybill/sinks/kafka"
	"waybill/sinks/sql"
	"waybill/sinks/webhook"
)

// Source is one database: its type, and the settings that its adapter declares.
type Source struct {
	// postgres, mariadb or mysql.
	Type string
	// Settings is the adapter's own configuration: postgres.Config or mysql.Config.
	Settings any
	// What the reading of its tables may cost it.
	Snapshot Snapshot
}

// Sink is one target: its type, the settings that its adapter declares, and the policy of its deliveries.
type Sink struct {
	// Takes postings: tryton, netsuite, s4hana or businesscentral; http; sql_postgres, sql_mariadb or sql_mysql; or ledger, a simulator for
	// tests. Takes events as they are: kafka, webhook, file.
	Type string
	// Settings is the adapter's own configuration.
	Settings any
	// How fast and how often deliveries are tried.
	Policy sinks.Policy
}

// Service is somebody who answers questions of the mapping: its type, the settings that its adapter declares, and how it is asked.
type Service struct {
	// http, a service that answers in JSON (sinks/httpjson).
	Type string
	// Settings is the adapter's own configuration.
	Settings any
	Terms    Terms
}

// Terms are how a service is asked, of whatever type.
type Terms struct {
	// How long it may be silent before people are told, and what can do without its answers does. Default 1m, at most 24h.
	Patience time.Duration `yaml:"patience"`
	// How fast and how often it is asked; as of a sink. What is about retries and writes is not used: it is asked until it answers.
	Policy sinks.Policy `yaml:"policy"`
}

// Ledger is a simulator for tests, which keeps what it is sent and can fail on purpose (sinks/sinktest). Nothing that is
// sent to it reaches an ERP.
type Ledger struct {
	// Address of the simulator.
	URL string `yaml:"url"`
	// For one delivery. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
}

// Validate reports every fault, as the adapters do.
func (l *Ledger) Validate() error {
	if u, err := url.Parse(l.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("url: found %q, expected the address of the simulator, such as http://127.0.0.1:9000", l.URL)
	}
	return nil
}

// kind is a type of source or sink. Its settings are a pointer to the adapter's Config.
type kind struct {
	name     string
	settings func(name string) any
	hidden   []string                                 // fields of the adapter that the type or the name of the block decides
	secrets  func(settings any) map[string]rereadable // secrets that the adapter takes ready, under their key in the file
	paths    func(settings any) []*string             // files, relative to the configuration
}

var sourceKinds = []kind{
	{name: "postgres", settings: func(name string) any { return &postgres.Config{Name: name} },
		secrets: func(s any) map[string]rereadable {
			c := s.(*postgres.Config)
			return map[string]rereadable{"password": {&c.Password, &c.Secret}}
		},
		paths: func(s any) []*string {
			c := s.(*postgres.Config)
			return []*string{&c.SSLRootCert, &c.SSLCert, &c.SSLKey}
		}},
	mysqlKind(mysql.MariaDB),
	mysqlKind(mysql.MySQL),
}

func mysqlKind(flavor string) kind {
	return kind{name: flavor, hidden: []string{"name", "flavor"},
		settings: func(name string) any { return &mysql.Config{Name: name, Flavor: flavor} },
		secrets: func(s any) map[string]rereadable {
			c := s.(*mysql.Config)
			return map[string]rereadable{"password": {&c.Password, &c.Secret}}
		},
		paths: func(s any) []*string {
			tls := &s.(*mysql.Config).TLS
			return []*string{&tls.CA, &tls.Cert, &tls.Key}
		}}
}

var sinkKinds = []kind{
	{name: "tryton", settings: func(string) any { return &erp.TrytonConfig{} }},
	{name: "netsuite", settings: func(string) any { return &netsuite.Config{} }},
	{name: "s4hana", settings: func(string) any { return &s4hana.Config{} }},
	{name: "http", settings: func(string) any { return &http.Config{} }},
	{name: "businesscentral", settings: func(string) any { return &businesscentral.Config{} }},
	sqlKind("sql_postgres", sql.Postgres),
	sqlKind("sql_mariadb", sql.MariaDB),
	sqlKind("sql_mysql", sql.MySQL),
	{name: "ledger", settings: func(string) any { return &Ledger{Timeout: 30 * time.Second} }},
	{name: "kafka", settings: func(string) any { return &kafka.Config{} }},
	{name: "webhook", settings: func(string) any { return &webhook.Config{} }},
	{name: "file", settings: func(string) any { return &file.Config{} }, paths: func(s any) []*string { return []*string{&s.(*file.Config).Folder} }},
}

func sqlKind(name, product string) kind {
	return kind{name: name, settings: func(string) any { return &sql.Config{Product: product} },
		paths: func(s any) []*string {
			tls := &s.(*sql.Config).TLS
			return []*string{&tls.CA, &tls.Cert, &tls.Key}
		}}
}

var serviceKinds = []kind{
	{name: "http", settings: func(string) any { return &httpjson.Config{} }},
}

func (s *Service) decodeNode(d *decoder, n *yaml.Node, path string) {
	s.Terms.Patience = time.Minute
	s.Type, s.Settings = d.entry(n, path, serviceKinds, fieldsOf(reflect.ValueOf(&s.Terms).Elem()))
	d.adapterFaults(s.Terms.Policy.Validate(), join(path, "policy"))
}

func (s *Source) decodeNode(d *decoder, n *yaml.Node, path string) {
	s.Snapshot = Snapshot(pipeline.DefaultReadings())
	s.Type, s.Settings = d.entry(n, path, sourceKinds, map[string]reflect.Value{"snapshot": reflect.ValueOf(&s.Snapshot).Elem()})
	d.adapterFaults(s.Snapshot.Validate(), join(path, "snapshot"))
}

func (s *Sink) decodeNode(d *decoder, n *yaml.Node, path string) {
	s.Type, s.Settings = d.entry(n, path, sinkKinds, map[string]reflect.Value{"policy": reflect.ValueOf(&s.Policy).Elem()})
	d.adapterFaults(s.Policy.Validate(), join(path, "policy"))
}

// entry decodes a block whose type decides which keys it knows; own are the keys that every type has.
func (d *decoder) entry(n *yaml.Node, path string, kinds []kind, own map[string]reflect.Value) (name string, settings any) {
	var kindNode *yaml.Node
	if !d.pairs(n, path, func(key, value *yaml.Node, _ string) {
		if key.Value == "type" {
			kindNode = value
		}
	}) {
		return "", nil
	}
	names := make([]string, len(kinds))
	for i := range kinds {
		names[i] = kinds[i].name
	}
	if kindNode == nil {
		d.fault(n, join(path, "type"), Fault{Found: "nothing", Expected: strings.Join(names, ", "), Do: "Say what it is, first in the block."})
		return "", nil
	}
	d.scalar(kindNode, reflect.ValueOf(&name).Elem(), join(path, "type"))
	for _, k := range kinds {
		if k.name == name {
			settings = k.settings(lastOf(path))
			d.settings(n, k, settings, own, path)
			return name, settings
		}
	}
	do := "Write one of them."
	if s := Suggest(name, names); s != "" {
		do = fmt.Sprintf("Did you mean %q?", s)
	}
	d.fault(kindNode, join(path, "type"), Fault{Found: strconv.Quote(name), Expected: strings.Join(names, ", "), Do: do})
	return "", nil
}

// settings decodes the adapter's part of a block and asks the adapter whether it is complete.
func (d *decoder) settings(n *yaml.Node, k kind, settings any, own map[string]reflect.Value, path string) {
	fields := fieldsOf(reflect.ValueOf(settings).Elem())
	for _, hidden := range k.hidden {
		delete(fields, hidden)
	}
	maps.Copy(fields, own)
	secrets := map[string]rereadable{}
	if k.secrets != nil {
		secrets = k.secrets(settings)
	}
	for key, secret := range secrets {
		fields[key] = reflect.ValueOf(secret.text).Elem()
	}
	fields["type"] = reflect.ValueOf(new(string)).Elem() // read by entry
	d.fields(n, fields, path)
	for key, secret := range secrets {
		if file, set := d.secretFiles[join(path, key)]; set {
			*secret.ask = func() (string, error) { return readSecret(file) }
		}
	}
	if k.paths != nil {
		for _, file := range k.paths(settings) {
			*file = d.resolve(*file)
		}
	}
	if check, ok := settings.(interface{ Validate() error }); ok {
		d.adapterFaults(check.Validate(), path)
	}
}

var mustBe = regexp.MustCompile(`^must be (.*) \(got (.*)\)$`)

// adapterFaults gives each error of an adapter's Validate its line. An adapter writes "field: found x, expected y" or
// "field: must be y (got x)", joined with errors.Join when there are several.
func (d *decoder) adapterFaults(err error, path string) {
	if err == nil {
		return
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			d.adapterFaults(e, path)
		}
		return
	}
	f := Fault{File: d.file, Field: path, Line: nearest(d.lines, path), Do: sentence(err.Error())}
	if field, text, ok := strings.Cut(err.Error(), ": "); ok && !strings.ContainsAny(field, " \"") {
		f.Field, f.Do = join(path, field), sentence(text)
		f.Line = nearest(d.lines, f.Field)
		if found, ok := strings.CutPrefix(text, "found "); ok {
			f.Found, f.Expected, _ = strings.Cut(found, ", expected ")
			if f.Do = ""; f.Found == `""` {
				f.Found = "nothing"
			}
		} else if m := mustBe.FindStringSubmatch(text); m != nil {
			f.Found, f.Expected, f.Do = m[2], m[1], ""
		} else if text == "must not be empty" {
			f.Found, f.Expected, f.Do = "nothing", "a value", "Add it to the block."
		}
	}
	if !d.isWrong(f.Field) {
		d.faults = append(d.faults, f)
	}
}

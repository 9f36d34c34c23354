package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"waybill/cdc"
	"waybill/sinks"
)

// Config is waybill.yaml. Its fields' comments are the reference that people read (see reference_test.go).
type Config struct {
	File string `yaml:"-"` // path of the file it was loaded from
	// Folder that holds the journal, the state and the backups. It must be a durable volume. Relative to the file.
	// Default data.
	Data string `yaml:"data"`
	// The carrier's mapping file, or a list of them: a file for each carrier, over sources of its own. Relative to the file. Needed.
	Mapping Files `yaml:"mapping"`
	// The legacy databases, by the names that the mapping gives them.
	Sources map[string]Source `yaml:"sources"`
	// The targets, by the names that the mapping's posts give them.
	Sinks map[string]Sink `yaml:"sinks"`
	// Whom the mapping's lookups ask, beside the sinks, by the names that the mapping gives them.
	Services map[string]Service `yaml:"services"`
	// Accounts of targets that several sinks and services share, by names that their policies give; see below.
	Accounts map[string]sinks.Limits `yaml:"accounts"`
	Journal  Journal                 `yaml:"journal"`
	Disk     Disk                    `yaml:"disk"`
	Limits   Limits                  `yaml:"limits"`
	Admin    Admin                   `yaml:"admin"`
	Alerts   Alerts                  `yaml:"alerts"`
	Log      Log                     `yaml:"log"`
	// How long a stop waits for deliveries that are under way. A second signal ends it at once. Default 20s.
	Grace time.Duration `yaml:"grace"`

	lines  map[string]int
	values map[string]string // as they are written, by path
}

// Journal bounds what is kept of the captured changes. Nothing undelivered is ever trimmed.
type Journal struct {
	// Size at which capture pauses, and says so, until older entries may be trimmed. A transaction that has begun, and the
	// first reading of a table, are captured to their end, however large they are: only disk.free_floor bounds them. Default 20GiB.
	MaxBytes cdc.Bytes `yaml:"max_bytes"`
	// Age after which delivered entries are trimmed; replay, trace and reset reach back as far. Default 7d.
	MaxAge time.Duration `yaml:"max_age"`
}

// Disk keeps Waybill from filling the volume.
type Disk struct {
	// Free space of the volume below which capture pauses; alerts begin at twice as much. Default 512MiB.
	FreeFloor cdc.Bytes `yaml:"free_floor"`
}

// Limits keep the daemon a small neighbour of the databases on its machine. The limits of a container, or of the service manager,
// hold beside them.
type Limits struct {
	// Processors that it uses at once, at most 1024; GOMAXPROCS in the environment wins.
	// Default 0: as many as the machine or the container's CPU limit gives.
	CPUs int `yaml:"cpus"`
	// Memory above which it collects harder, at least 64MiB: a target, not a bound; GOMEMLIMIT in the environment wins. Default 128MiB.
	Memory cdc.Bytes `yaml:"memory"`
	// How far it gives way to others for CPU and disk, as nice(1) does, 0 to 19; it takes what they leave. Default 0.
	Nice int `yaml:"nice"`
}

// Admin is how the commands, the dashboard and the monitoring reach the daemon.
type Admin struct {
	// Unix socket of the commands, readable by its owner only. Default: waybill.sock in the data folder.
	Socket string `yaml:"socket"`
	// TCP address, such as 127.0.0.1:8480. Empty: no TCP. Needs a token.
	Listen string `yaml:"listen"`
	// Bearer token of the API over TCP, at least 16 characters. Health pages need none.
	Token Secret `yaml:"token"`
	// Whether /metrics on the TCP address is open without the token. Default false.
	Metrics bool `yaml:"metrics"`
}

// Alerts is one webhook, signed as standardwebhooks.com says.
type Alerts struct {
	// Address that takes the POST. Empty: no alerts.
	URL string `yaml:"url"`
	// Signing secret: whsec_ and base64 of 24 to 64 bytes.
	Secret Secret `yaml:"secret"`
	// One cause is repeated at most once in this time. Default 1h.
	Interval time.Duration `yaml:"interval"`
	// How long a lane may hold postings of unknown outcome before that is an alert. Default 10m.
	UnknownAfter time.Duration `yaml:"unknown_after"`
}

// Log is what the daemon writes to standard error.
type Log struct {
	// debug, info (default), warn or error.
	Level string `yaml:"level"`
	// text (default) or json.
	Format string `yaml:"format"`
}

// Default returns the settings that a file need not give.
func Default() Config {
	return Config{
		Data:    "data",
		Journal: Journal{MaxBytes: 20 << 30, MaxAge: 7 * 24 * time.Hour},
		Disk:    Disk{FreeFloor: 512 << 20},
		Limits:  Limits{Memory: 128 << 20},
		Alerts:  Alerts{Interval: time.Hour, UnknownAfter: 10 * time.Minute},
		Log:     Log{Level: "info", Format: "text"},
		Grace:   20 * time.Second,
	}
}

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// Load reads, checks and completes the file. The error is Faults when the file can be read but is wrong: every mistake,
// in the order of the lines.
func Load(file string) (*Config, error) { return load(file, os.LookupEnv) }

func load(file string, lookup func(string) (string, bool)) (*Config, error) {
	text, err := readBounded(file, maxFile)
	if err != nil {
		return nil, Faults{{File: file, Found: "no readable file (" + cause(err) + ")",
			Do: "Name the configuration with -c FILE or WAYBILL_CONFIG."}}
	}
	root, fault := parse(file, text)
	if fault != nil {
		return nil, Faults{*fault}
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", file, err)
	}
	d := &decoder{file: file, dir: filepath.Dir(abs), lookup: lookup, lines: map[string]int{}, secretFiles: map[string]string{}, wrong: map[string]bool{}}
	c := Default()
	c.File = file
	d.decode(root, reflect.ValueOf(&c).Elem(), "")
	c.lines, c.values = d.lines, map[string]string{}
	flatten(root, "", c.values)
	c.complete(d)
	c.validate(d)
	if len(d.faults) > 0 {
		return nil, d.faults.sorted()
	}
	return &c, nil
}

// complete makes paths absolute and fills what depends on other fields.
func (c *Config) complete(d *decoder) {
	c.Data = d.resolve(c.Data)
	for i, file := range c.Mapping {
		c.Mapping[i] = d.resolve(file)
	}
	c.Admin.Socket = d.resolve(c.Admin.Socket)
	if c.Admin.Socket == "" {
		c.Admin.Socket = filepath.Join(c.Data, "waybill.sock")
	}
}

// Line returns the line of a field (sources.dispatch.host), or of the nearest one above it that the file has; 0 for none.
func (c *Config) Line(field string) int { return nearest(c.lines, field) }

func nearest(lines map[string]int, field string) int {
	for field != "" {
		if line, ok := lines[field]; ok {
			return line
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return 0
}

// SourceNames returns the names in order.
func (c *Config) SourceNames() []string { return sortedKeys(c.Sources) }

// SinkNames returns the names in order.
func (c *Config) SinkNames() []string { return sortedKeys(c.Sinks) }

// AccountNames returns the names in order.
func (c *Config) AccountNames() []string { return sortedKeys(c.Accounts) }

// ServiceNames returns the names in order.
func (c *Config) ServiceNames() []string { return sortedKeys(c.Services) }

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// parse reads exactly one YAML document.
func parse(file, text string) (*yaml.Node, *Fault) {
	decode := yaml.NewDecoder(strings.NewReader(text))
	var doc yaml.Node
	if err := decode.Decode(&doc); err != nil {
		if strings.TrimSpace(text) == "" || err.Error() == "EOF" {
			return nil, &Fault{File: file, Found: "an empty file", Do: "Begin with data, mapping, sources and sinks."}
		}
		f := &Fault{File: file, Do: "Correct the YAML; indent with spaces, and quote texts that hold \": \" or start with a sign."}
		message := strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatchIndex(message); m != nil {
			f.Line, _ = strconv.Atoi(message[m[2]:m[3]]) // digits only, as the pattern says
			message = message[:m[0]] + message[m[1]:]
		}
		f.Found = "text that is not YAML (" + message + ")"
		return nil, f
	}
	var more yaml.Node
	if err := decode.Decode(&more); err == nil {
		return nil, &Fault{File: file, Line: more.Line, Found: "a second document after ---", Do: "Keep one document in the file."}
	}
	return doc.Content[0], nil
}

package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/sinks/sql"
)

// validate reports what is readable but wrong.
func (c *Config) validate(d *decoder) {
	v := &validator{config: c, decoder: d}
	v.files()
	v.names()
	v.accounts()
	v.bounds()
	v.admin()
	v.alerts()
	v.log()
}

type validator struct {
	config  *Config
	decoder *decoder
}

func (v *validator) fault(field string, f Fault) {
	if v.decoder.isWrong(field) {
		return
	}
	f.File, f.Field, f.Line = v.decoder.file, field, v.config.Line(field)
	v.decoder.faults = append(v.decoder.faults, f)
}

// shown is a path as people wrote it.
func (v *validator) shown(path string) string {
	if short, err := filepath.Rel(v.decoder.dir, path); err == nil && filepath.IsLocal(short) {
		path = short
	}
	return strconv.Quote(path)
}

func (v *validator) files() {
	c := v.config
	if len(c.Mapping) == 0 {
		v.fault("mapping", Fault{Found: "nothing", Expected: "the carrier's mapping file", Do: "Add a line such as mapping: northstar.yml."})
	}
	for i, file := range c.Mapping {
		field := "mapping"
		if len(c.Mapping) > 1 {
			field = fmt.Sprintf("mapping[%d]", i)
		}
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			v.fault(field, Fault{Found: v.shown(file) + ", which is not a file", Expected: "the carrier's mapping file",
				Do: "Correct the path; it is relative to " + v.decoder.file + "."})
		} else if slices.Contains(c.Mapping[:i], file) {
			v.fault(field, Fault{Found: v.shown(file) + " a second time", Expected: "a file for each carrier", Do: "Keep one."})
		}
	}
	if info, err := os.Stat(c.Data); err == nil && !info.IsDir() {
		v.fault("data", Fault{Found: v.shown(c.Data) + ", which is a file", Expected: "a folder", Do: "Name a folder on a durable volume."})
	}
}

// name is what may name a source or a sink: it becomes part of slot names, metrics and event ids.
var name = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func (v *validator) names() {
	c := v.config
	if len(c.Sources) == 0 {
		v.fault("sources", Fault{Found: "no source", Expected: "the legacy databases, by the names that the mapping gives them",
			Do: "Add sources: with one block for each database."})
	}
	if len(c.Sinks) == 0 {
		v.fault("sinks", Fault{Found: "no sink", Expected: "the targets, by the names that the mapping's posts give them",
			Do: "Add sinks: with one block for each target."})
	}
	for _, n := range c.SinkNames() {
		if t, ok := c.Sinks[n].Settings.(*sql.Config); ok && t.Source != "" && c.Sources[t.Source].Type == "" {
			v.fault("sinks."+n+".source", Fault{Found: strconv.Quote(t.Source), Expected: "one of the sources: " + strings.Join(c.SourceNames(), ", "), Do: "Name the source that captures this database, or leave it out."})
		}
	}
	for _, n := range c.ServiceNames() {
		if _, twice := c.Sinks[n]; twice {
			v.fault("services."+n, Fault{Found: "the name of a sink", Expected: "a name of its own", Do: "A sink that answers is asked under its own name; rename this service here and in the mapping."})
		}
		v.duration("services."+n+".patience", c.Services[n].Terms.Patience, time.Second, 24*time.Hour)
	}
	for _, n := range slices.Concat(prefixed("sources.", c.SourceNames()), prefixed("sinks.", c.SinkNames()), prefixed("services.", c.ServiceNames())) {
		if short := lastOf(n); !name.MatchString(short) {
			v.fault(n, Fault{Found: "the name " + strconv.Quote(short), Expected: "lower-case letters, digits and _, at most 32, a letter first",
				Do: "Rename it here and in the mapping."})
		}
	}
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

func (v *validator) bounds() {
	c := v.config
	// Three segments of the journal: one is written, one is full, and one may go.
	v.size("journal.max_bytes", c.Journal.MaxBytes, 192<<20, 1<<50)
	v.size("disk.free_floor", c.Disk.FreeFloor, 16<<20, 1<<50)
	v.number("limits.cpus", c.Limits.CPUs, 0, 1024)
	v.size("limits.memory", c.Limits.Memory, 64<<20, 1<<50)
	v.number("limits.nice", c.Limits.Nice, 0, 19)
	v.duration("journal.max_age", c.Journal.MaxAge, time.Hour, 3650*24*time.Hour)
	v.duration("grace", c.Grace, time.Second, 10*time.Minute)
}

func (v *validator) size(field string, s, least, most cdc.Bytes) {
	if s < least || s > most {
		v.fault(field, Fault{Found: s.String(), Expected: fmt.Sprintf("%s to %s", least, most), Do: "Choose a size in these bounds."})
	}
}

func (v *validator) number(field string, n, least, most int) {
	if n < least || n > most {
		v.fault(field, Fault{Found: strconv.Itoa(n), Expected: fmt.Sprintf("%d to %d", least, most), Do: "Choose a number in these bounds."})
	}
}

func (v *validator) duration(field string, t, least, most time.Duration) {
	if t < least || t > most {
		v.fault(field, Fault{Found: days(t), Expected: fmt.Sprintf("%s to %s", days(least), days(most)), Do: "Choose a time in these bounds."})
	}
}

func days(t time.Duration) string {
	if t >= 24*time.Hour && t%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(t/(24*time.Hour)), 10) + "d"
	}
	text := t.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (v *validator) admin() {
	a := v.config.Admin
	if len(a.Socket) > 107 {
		field := "admin.socket"
		if _, set := v.config.lines[field]; !set {
			field = "data"
		}
		v.fault(field, Fault{Found: fmt.Sprintf("a path of the admin socket of %d bytes (%s)", len(a.Socket), a.Socket),
			Expected: "at most 107 bytes, which is what the system takes", Do: "Set admin.socket to a short path, such as /run/waybill.sock."})
	}
	if a.Listen == "" {
		if a.Token != "" {
			v.fault("admin.token", Fault{Found: "a token without admin.listen", Do: "Add admin.listen, or remove the token; the unix socket needs none."})
		}
		return
	}
	if _, port, err := net.SplitHostPort(a.Listen); err != nil || !isPort(port) {
		v.fault("admin.listen", Fault{Found: strconv.Quote(a.Listen), Expected: "address:port, such as 127.0.0.1:8480", Do: "Write both parts."})
	}
	if len(a.Token) < 16 {
		found := "no token"
		if a.Token != "" {
			found = fmt.Sprintf("a token of %d characters", len(a.Token))
		}
		v.fault("admin.token", Fault{Found: found, Expected: "at least 16 characters, because admin.listen opens the API over TCP",
			Do: "Make one with: openssl rand -hex 24; or remove admin.listen."})
	}
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && (n > 0 || text == "0")
}

func (v *validator) alerts() {
	a := v.config.Alerts
	if a.URL == "" {
		return
	}
	if u, err := url.Parse(a.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		v.fault("alerts.url", Fault{Found: "text that is not a web address", Expected: "an address such as https://alerts.example.com/waybill", Do: "Correct it."})
	}
	if _, err := SigningKey(a.Secret); err != nil {
		v.fault("alerts.secret", Fault{Found: err.Error(), Expected: "whsec_ and base64 of 24 to 64 bytes",
			Do: `Make one with: echo "whsec_$(openssl rand -base64 32)".`})
	}
	v.duration("alerts.interval", a.Interval, time.Minute, 7*24*time.Hour)
	v.duration("alerts.unknown_after", a.UnknownAfter, time.Second, 24*time.Hour)
}

// SigningKey decodes a webhook secret (whsec_…) into the key of its HMAC. Errors do not show the secret.
func SigningKey(s Secret) ([]byte, error) {
	if s == "" {
		return nil, fmt.Errorf("no secret")
	}
	text, ok := strings.CutPrefix(s.Reveal(), "whsec_")
	if !ok {
		return nil, fmt.Errorf("a secret without whsec_")
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("a secret that is not base64 after whsec_")
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("a secret of %d bytes", len(key))
	}
	return key, nil
}

func (v *validator) log() {
	v.oneOf("log.level", v.config.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", v.config.Log.Format, "text", "json")
}

func (v *validator) oneOf(field, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	do := "Write one of them."
	if s := Suggest(value, allowed); s != "" {
		do = fmt.Sprintf("Did you mean %q?", s)
	}
	v.fault(field, Fault{Found: strconv.Quote(value), Expected: strings.Join(allowed, ", "), Do: do})
}

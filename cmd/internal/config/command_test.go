package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/sinks/http"
	"waybill/sinks/httpjson"
	"waybill/sinks/web"
)

// Secrets of adapters, in every form, in nested blocks too, and read again when they were rotated.
func TestSecretsOfAdapters(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("mapping.yml", "mapping: none\n", 0o600)
	write("client.secret", "first\n", 0o600)
	write("print", "#!/bin/sh\nprintf '%s\\nsecond line\\n' \"$1\"\n", 0o700)
	write("waybill.yml", `mapping: mapping.yml
sources:
  dispatch: { type: postgres, host: db, database: tms, user: waybill, password: x }
sinks:
  plain: { type: http, url: "http://a", secret: "${ERP_PASSWORD}", entities: { e: { path: /e } } }
  filed: { type: http, url: "http://a", entities: { e: { path: /e } }, auth: { oauth2: { token_url: "http://a/t", client_id: c, client_secret_file: client.secret } } }
  told: { type: http, url: "http://a", entities: { e: { path: /e } }, auth: { basic: { user: u, password_command: [./print, "a b;$HOME"] } } }
services:
  rating: { type: http, url: "http://a", secret_command: [sh, -c, "echo token-1"] }
`, 0o600)
	c, err := load(filepath.Join(dir, "waybill.yml"), lookup)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(s web.Secret, want string) {
		t.Helper()
		if got, err := s.Read(); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	sink := func(name string) *http.Config { return c.Sinks[name].Settings.(*http.Config) }
	expect(sink("plain").Secret, "erp-secret")
	filed := sink("filed").Auth.OAuth2.ClientSecret
	expect(filed, "first")
	write("client.secret", "second\n", 0o600)
	expect(filed, "second")
	expect(sink("told").Auth.Basic.Password, "a b;$HOME") // no shell has read it
	expect(c.Services["rating"].Settings.(*httpjson.Config).Secret, "token-1")
	if line := c.Line("sinks.told.auth.basic.password"); line != 7 {
		t.Errorf("line %d", line)
	}
}

func TestCommands(t *testing.T) {
	shell := func(script string) *command { return &command{name: "vault", argv: []string{"/bin/sh", "-c", script}} }
	for script, want := range map[string]string{
		"echo hunter2; exit 3":     "the command vault ended with exit status 3",
		"echo hunter2 >&2; exit 1": "the command vault ended with exit status 1",
		"true":                     "printed nothing",
		"echo; echo hunter2":       "printed nothing in its first line",
		"head -c 100000 /dev/zero | tr '\\0' hunter2": "printed more than",
		"kill -9 $$": "killed",
	} {
		text, err := shell(script).read()
		if err == nil || text != "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %q, %v", script, text, err)
		}
	}
	key := "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"
	if text, err := shell("printf -- '" + strings.ReplaceAll(key, "\n", "\\n") + "\\n'").read(); err != nil || text != key {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := (&command{name: "x", argv: []string{"/nowhere"}}).read(); err == nil {
		t.Error("a program that is not there")
	}
	// It is asked once a minute, not for each request.
	file := filepath.Join(t.TempDir(), "n")
	counted := shell("echo x >> " + file + "; wc -l < " + file)
	for range 5 {
		if text, err := counted.read(); err != nil || strings.TrimSpace(text) != "1" {
			t.Errorf("%q, %v", text, err)
		}
	}
	counted.until = time.Now()
	if text, err := counted.read(); err != nil || strings.TrimSpace(text) != "2" {
		t.Errorf("%q, %v", text, err)
	}
}

// The example that sinks/http/ADAPTER.md shows is one that runs.
func TestHTTPExample(t *testing.T) {
	c, err := load(folder+"/http.example.yml", lookup)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Sinks {
		sink, err := http.New(*s.Settings.(*http.Config))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for entity := range s.Settings.(*http.Config).Entities {
			if e, err := sink.Entity(entity); err != nil || len(e.Steps) == 0 {
				t.Errorf("%s of %s: %+v %v", entity, name, e, err)
			}
		}
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	}
}

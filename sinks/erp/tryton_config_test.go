package erp

import (
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

func TestTrytonConfigValidate(t *testing.T) {
	const good = "url: https://erp.example:8000\ndatabase: erp\nuser: sync\npassword: x\n"
	parse := func(t *testing.T, text string) (c TrytonConfig) {
		t.Helper()
		if err := yaml.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := parse(t, good+"timeout: 10s\nacknowledge: []\n")
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if d := c.withDefaults(); d.Timeout != 10*time.Second || d.Horizon != 45*time.Second || d.LoginCooldown != 5*time.Minute || len(d.Acknowledge) != 0 {
		t.Errorf("defaults: %+v", d)
	}
	for _, f := range []struct{ line, want string }{
		{"url: erp.example", `url: found "erp.example", expected http(s)://host:port`},
		{"url: ftp://erp.example", `url: found "ftp://erp.example"`},
		{"url: http://sync:hunter2@erp.example", `url: found "http://sync:xxxxx@erp.example", expected no credentials`},
		{"url: http://erp.example/erp", `expected no path`},
		{"database: ''", `database: found "", expected the name`},
		{"database: a/b", `database: found "a/b", expected a plain`},
		{"user: ''", `user: found ""`},
		{"password: ''", `password: found ""`},
		{"timeout: 2h", `timeout: found "2h0m0s"`},
		{"horizon: -1s", `horizon: found "-1s"`},
		{"posting_date: tomorrow", `posting_date: found "tomorrow", expected document_or_today or document`},
		{"time_zone: Mars/Olympus", `time_zone: found "Mars/Olympus"`},
	} {
		key, _, _ := strings.Cut(f.line, ":")
		var lines []string
		for l := range strings.Lines(good) {
			if !strings.HasPrefix(l, key+":") {
				lines = append(lines, l)
			}
		}
		err := parse(t, strings.Join(lines, "")+f.line).Validate()
		if err == nil || !strings.Contains(err.Error(), f.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", f.line, err, f.want)
		}
	}
	if err := (TrytonConfig{}).Validate(); strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("an empty configuration has four faults: %v", err)
	}
}

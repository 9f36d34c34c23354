package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"waybill/sinks/web"
)

var webSecret = reflect.TypeFor[web.Secret]()

func isWebSecret(v reflect.Value) bool { return v.IsValid() && v.Type() == webSecret }

// secret reads one that is written out, or names a variable of the environment.
func (d *decoder) secret(n *yaml.Node, s *web.Secret, path string) {
	var text string
	d.scalar(n, reflect.ValueOf(&text).Elem(), path)
	if text != "" {
		*s = web.Plain(text)
	}
}

// twice reports a secret that is given in two ways.
func (d *decoder) twice(parent, n *yaml.Node, base, suffix, path string) bool {
	for i := 0; i < len(parent.Content); i += 2 {
		other := parent.Content[i].Value
		if other == base || suffix == "_command" && other == base+"_file" {
			d.fault(n, path, Fault{Found: "both " + other + " and " + base + suffix, Do: "Keep one of the two."})
			return true
		}
	}
	return false
}

// secretCommand takes a program that prints the secret. It is not run before the secret is needed: commands that only look at the
// configuration do not ask a vault.
func (d *decoder) secretCommand(parent, n *yaml.Node, s *web.Secret, base, path string) {
	var argv []string
	d.wrong[strings.TrimSuffix(path, "_command")] = true // until it is read
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, Fault{Found: "no list", Expected: "a program with its arguments", Do: "Write the program and each of its arguments apart: [vault, read, -field=value, secret/erp]; no shell reads them."})
		return
	}
	d.list(n, reflect.ValueOf(&argv).Elem(), path)
	if d.isWrong(path) || d.twice(parent, n, base, "_command", path) {
		return
	}
	if len(argv) == 0 || argv[0] == "" {
		d.fault(n, path, Fault{Found: "nothing", Expected: "a program with its arguments", Do: "Name the program first."})
		return
	}
	program := argv[0]
	if strings.ContainsRune(program, filepath.Separator) {
		program = d.resolve(program)
	}
	found, err := exec.LookPath(program)
	if err != nil {
		d.fault(n, path, Fault{Found: strconv.Quote(argv[0]) + ", which is no program that can be run", Do: "Give its full path, and make it executable for Waybill's user."})
		return
	}
	at := strings.TrimSuffix(path, "_command")
	delete(d.wrong, at)
	d.lines[at] = n.Line
	*s = web.From((&command{name: filepath.Base(argv[0]), argv: append([]string{found}, argv[1:]...)}).read)
}

// Bounds of a command that prints a secret. What it printed serves for commandKept, a failure for commandFailed, so that many requests do
// not make many processes.
const (
	commandTime   = 10 * time.Second
	commandKept   = time.Minute
	commandFailed = 10 * time.Second
)

// command is a program that prints a secret.
type command struct {
	name string // for messages
	argv []string

	mu    sync.Mutex
	text  string
	err   error
	until time.Time
}

// read gives the secret, of this moment or of the last minute.
func (c *command) read() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.text, c.err
	}
	kept := commandKept
	if c.text, c.err = c.run(); c.err != nil {
		kept = commandFailed
	}
	c.until = time.Now().Add(kept)
	return c.text, c.err
}

// run runs the program. What it prints is the secret, and nothing of it may stand in an error.
func (c *command) run() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.WaitDelay = time.Second // for what it has started and left behind
	out := &bounded{most: maxSecret}
	cmd.Stdout = out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("the command %s took longer than %s", c.name, commandTime)
	case out.over:
		return "", fmt.Errorf("the command %s printed more than %d bytes", c.name, maxSecret)
	case errors.As(err, &exit):
		return "", fmt.Errorf("the command %s ended with %s", c.name, exit.ProcessState)
	case err != nil:
		return "", fmt.Errorf("running the command %s: %s", c.name, cause(err))
	}
	text := string(out.text)
	if !strings.HasPrefix(text, "-----BEGIN ") { // a key has many lines
		text, _, _ = strings.Cut(text, "\n")
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", fmt.Errorf("the command %s printed nothing in its first line", c.name)
	}
	return text, nil
}

// bounded keeps what is written to it up to a bound, and refuses more, which ends the program.
type bounded struct {
	text []byte
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > b.most {
		b.over = true
		return 0, io.ErrShortWrite
	}
	b.text = append(b.text, p...)
	return len(p), nil
}

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPasswordRotated changes the password of a running daemon on the server first and in its file later, and cuts its
// connections in between. The daemon says that its login is refused, takes the new password up, and loses nothing.
func TestPasswordRotated(t *testing.T) {
	const old, anew = "old-Vx81", "anew-Qz42"
	for _, kind := range engines {
		t.Run(kind, func(t *testing.T) {
			l := &changeLog{engine: newEngine(t, kind)}
			l.sql(l.db, "CREATE TABLE log (k bigint PRIMARY KEY, note text NOT NULL, pad text)")
			l.configure(logMapping, "")
			user, found := l.rotating(old), false
			for _, given := range []string{pg.User + "\n    password: " + pg.Password, maria.User + "\n    password: " + maria.Password} {
				yaml := good(l.site, "waybill.yaml")
				with := strings.Replace(yaml, "user: "+given, "user: "+user+"\n    password_file: db.password", 1)
				found = found || with != yaml
				l.file("waybill.yaml", with)
			}
			if !found {
				t.Fatal("the configuration names no password to replace")
			}
			l.file("db.password", old+"\n")
			l.start()
			l.write(10, 1)
			l.settled(time.Minute)

			l.rotate(user, anew)
			l.until(time.Minute, "the refused login is told", func() bool {
				src, problems := l.source()
				return src.State == "backing off" && strings.Contains(src.Error, "login refused") && strings.Contains(problems, "login refused")
			})
			l.write(10, 1)
			l.file("db.password", anew+"\n")
			l.until(time.Minute, "the source streams", func() bool { src, _ := l.source(); return src.State == "streaming" })
			l.arrived()
			l.stop() // the same process
			if text := l.log.String(); strings.Contains(text, old) || strings.Contains(text, anew) {
				t.Error("the password is in the log") // Invariant 12
			}
		})
	}
}

// rotating makes a user with a password, and returns its name.
func (e *engine) rotating(password string) (user string) {
	if e.kind == "postgres" {
		user = "rotating_" + e.pgName
		e.sql(e.db, fmt.Sprintf("CREATE ROLE %s LOGIN SUPERUSER PASSWORD '%s'", user, password))
		return user
	}
	user = "rotating_" + e.myName
	e.sql(e.db, fmt.Sprintf("CREATE USER %s IDENTIFIED BY '%s'; GRANT ALL ON *.* TO %[1]s", user, password))
	return user
}

// rotate changes the password and ends the user's connections.
func (e *engine) rotate(user, password string) {
	if e.kind == "postgres" {
		e.sql(e.db, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", user, password))
		e.sql(e.db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", user)
		return
	}
	e.sql(e.db, fmt.Sprintf("ALTER USER %s IDENTIFIED BY '%s'; KILL USER %[1]s", user, password))
}

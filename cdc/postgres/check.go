package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// facts is what one query tells about the server and the role.
type facts struct {
	version       int
	versionText   string
	walLevel      string
	encoding      string
	standby       bool
	maxSlots      int
	usedSlots     int
	maxSenders    int
	usedSenders   int
	replication   bool
	mayCreate     bool
	keepSize      string // max_slot_wal_keep_size; empty before PostgreSQL 13
	senderTimeout int    // milliseconds
	oldest        int    // seconds that the oldest transaction has run
	oldestPID     int
	clock         time.Time
}

const factsSQL = `SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('wal_level'),
  pg_encoding_to_char(d.encoding)::text, pg_is_in_recovery(),
  current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots)::int,
  current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication)::int,
  r.rolreplication OR r.rolsuper, has_database_privilege(d.oid, 'CREATE'),
  coalesce(current_setting('max_slot_wal_keep_size', true), ''),
  (SELECT setting::int FROM pg_settings WHERE name = 'wal_sender_timeout'),
  coalesce(x.age, 0)::int, coalesce(x.pid, 0), clock_timestamp()
FROM pg_database d
JOIN pg_roles r ON r.rolname = current_user
LEFT JOIN LATERAL (SELECT pid, extract(epoch FROM clock_timestamp() - xact_start) age FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1) x ON true
WHERE d.datname = current_database()`

func readFacts(ctx context.Context, conn *pgx.Conn) (f facts, err error) {
	err = conn.QueryRow(ctx, factsSQL).Scan(&f.version, &f.versionText, &f.walLevel, &f.encoding, &f.standby, &f.maxSlots,
		&f.usedSlots, &f.maxSenders, &f.usedSenders, &f.replication, &f.mayCreate, &f.keepSize, &f.senderTimeout, &f.oldest,
		&f.oldestPID, &f.clock)
	if err != nil {
		return f, fmt.Errorf("reading the server's settings: %w", err)
	}
	return f, nil
}

// Check implements cdc.Inspector.
func (s *Source) Check(ctx context.Context) ([]cdc.Finding, error) {
	conn, err := s.cfg.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	asked := time.Now()
	f, err := readFacts(ctx, conn)
	if err != nil {
		return nil, err
	}
	took := time.Since(asked)
	slot, err := readSlot(ctx, conn, s.cfg.Slot, f.version)
	if err != nil {
		return nil, err
	}
	p, err := readPublication(ctx, conn, s.cfg.Publication, f.version)
	if err != nil {
		return nil, err
	}
	list := s.checkServer(f, slot)
	list = append(list, checkClock(f.clock.Sub(asked.Add(took/2))), s.checkSlot(slot))
	var absent []cdc.Table // from the publication, and able to join it
	owned, partitioned := true, false
	for _, t := range s.tables {
		r, err := lookUp(ctx, conn, t)
		if err != nil {
			return nil, err
		}
		list = append(list, s.checkTable(t, r)...)
		if r == nil || !r.publishable() {
			continue
		}
		list = append(list, checkIdentity(r))
		partitioned = partitioned || r.kind == "p"
		list = append(list, s.checkOld(r)...)
		if len(p.missing([]cdc.Table{t})) > 0 {
			absent = append(absent, t)
			owned = owned && r.owned
		}
	}
	return append(list, s.checkPublication(p, absent, owned, partitioned, f)...), nil
}

func failed(f cdc.Finding) bool { return f.Level == cdc.LevelFail }

// good, warn and fail make findings.
func good(check, found string) cdc.Finding {
	return cdc.Finding{Check: check, Level: cdc.LevelOK, Found: found}
}

func warn(check, found, want, why, fix string) cdc.Finding {
	return cdc.Finding{Check: check, Level: cdc.LevelWarn, Found: found, Want: want, Why: why, Fix: fix}
}

func fail(check, found, want, why, fix string) cdc.Finding {
	return cdc.Finding{Check: check, Level: cdc.LevelFail, Found: found, Want: want, Why: why, Fix: fix}
}

// checkServer looks at the server's version and settings, and at the role.
func (s *Source) checkServer(f facts, is slot) []cdc.Finding {
	role := identifier(s.cfg.User)
	return []cdc.Finding{
		verdict(f.version >= 120000, "server version", f.versionText, "12 or newer", "Older versions cannot copy a slot.", ""),
		verdict(!f.standby, "primary", map[bool]string{true: "a standby", false: "the primary"}[f.standby], "the primary",
			"A slot on a standby does not survive its promotion.", "Point the source at the primary."),
		verdict(f.walLevel == "logical", "wal_level", f.walLevel, "logical", "The log does not hold row changes otherwise.",
			"ALTER SYSTEM SET wal_level = logical; -- then restart the server"),
		verdict(f.replication, "role may replicate", fmt.Sprintf("role %s, REPLICATION %t", s.cfg.User, f.replication),
			"a role with REPLICATION", "Only such a role may read the log.", fmt.Sprintf("ALTER ROLE %s REPLICATION;", role)),
		freeOf("free replication slots", f.maxSlots, f.usedSlots, is.exists, 2, "max_replication_slots",
			"The snapshot holds a temporary slot until the lasting one is made."),
		freeOf("free WAL senders", f.maxSenders, f.usedSenders, is.pid != 0, 1, "max_wal_senders", "The stream needs a sender."),
		checkEncoding(f.encoding),
		checkKeepSize(f.keepSize),
		s.checkSenderTimeout(f.senderTimeout),
		checkOldest(f),
	}
}

func verdict(ok bool, check, found, want, why, fix string) cdc.Finding {
	if ok {
		return good(check, found)
	}
	return fail(check, found, want, why, fix)
}

func freeOf(check string, limit, used int, have bool, need int, setting, why string) cdc.Finding {
	found := fmt.Sprintf("%d of %d free", limit-used, limit)
	if have || limit-used >= need {
		return good(check, found)
	}
	return fail(check, found, fmt.Sprintf("at least %d free", need), why,
		fmt.Sprintf("ALTER SYSTEM SET %s = %d; -- then restart the server", setting, limit+need))
}

func checkEncoding(encoding string) cdc.Finding {
	const check = "encoding"
	switch encoding {
	case "UTF8":
		return good(check, encoding)
	case "SQL_ASCII":
		return warn(check, encoding, "UTF8 or another declared encoding",
			"The server does not know what its bytes mean and cannot convert them; text that is not valid UTF-8 becomes an exception.", "")
	}
	return good(check, encoding+", converted to UTF-8 by the server")
}

func checkKeepSize(size string) cdc.Finding {
	const check = "max_slot_wal_keep_size"
	switch size {
	case "":
		return good(check, "not known before PostgreSQL 13: the server keeps log without limit for a slot")
	case "-1":
		return warn(check, "no limit", "a limit below the free space of the server's disk",
			"If Waybill is stopped for long, the log kept for it fills the server's disk.",
			"ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();")
	}
	return good(check, size)
}

func (s *Source) checkSenderTimeout(ms int) cdc.Finding {
	const check = "wal_sender_timeout"
	found := (time.Duration(ms) * time.Millisecond).String()
	if ms == 0 {
		return good(check, "off")
	}
	if ms < 5000 {
		return warn(check, found, "at least 5s", "A short pause of the network ends the session.",
			"ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf();")
	}
	return good(check, found)
}

func checkOldest(f facts) cdc.Finding {
	const check = "long transactions"
	age := time.Duration(f.oldest) * time.Second
	if age < 10*time.Minute {
		return good(check, fmt.Sprintf("the oldest has run for %s", age))
	}
	return warn(check, fmt.Sprintf("process %d has been in a transaction for %s", f.oldestPID, age), "none longer than 10m",
		"Making a slot waits for it, and the log is kept for as long as it runs.",
		fmt.Sprintf("SELECT pg_terminate_backend(%d); -- or set idle_in_transaction_session_timeout", f.oldestPID))
}

func checkClock(ahead time.Duration) cdc.Finding {
	const check = "clock"
	found := fmt.Sprintf("the server is ahead of us by %s", ahead.Round(time.Millisecond))
	if ahead.Abs() < 5*time.Second {
		return good(check, found)
	}
	return warn(check, found, "less than 5s", "Times of events are the server's; ages and deadlines on pages would be wrong.",
		"Synchronise both clocks, by chrony or systemd-timesyncd.")
}

func (s *Source) checkSlot(is slot) cdc.Finding {
	check := "slot " + s.cfg.Slot
	found := fmt.Sprintf("at %s, %d MiB of log kept, wal_status %s", is.confirmed, is.retained>>20, is.status)
	switch {
	case !is.exists:
		return good(check, "does not exist yet; the first start makes it")
	case is.kind != "logical" || is.plugin != "pgoutput" || is.database != s.cfg.Database:
		return fail(check, fmt.Sprintf("a %s slot with plugin %q of database %q", is.kind, is.plugin, is.database),
			fmt.Sprintf("a logical slot with pgoutput of database %q", s.cfg.Database), "It belongs to somebody else.",
			"Give this source another slot name.")
	case is.status == "lost":
		return fail(check, found, "wal_status reserved", "The server has removed log that was not read.", s.resetHint())
	case is.status == "unreserved":
		return warn(check, found, "wal_status reserved", "The server will remove log that was not read at its next checkpoint.",
			"Let Waybill catch up, and raise max_slot_wal_keep_size.")
	case is.pid != 0:
		return good(check, fmt.Sprintf("%s, in use by process %d", found, is.pid))
	}
	return good(check, found)
}

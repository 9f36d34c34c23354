package postgres

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"waybill/cdc"
)

// checkServer looks at who the server is and at the settings that capture needs.
func (s *Source) checkServer(f *facts, is slot) []cdc.Finding {
	return []cdc.Finding{
		aboutVersion.verdict(f.version >= 120000, f.text("server_version"), "12 or newer", "Older versions cannot copy a slot.", ""),
		aboutIdentity.good(fmt.Sprintf("system %s, timeline %d", f.system, f.timeline)),
		aboutPrimary.verdict(!f.standby, map[bool]string{true: "a standby", false: "the primary"}[f.standby], "the primary",
			"A slot on a standby does not survive its promotion.", "Point the source at the primary."),
		aboutWALLevel.verdict(f.text("wal_level") == "logical", f.text("wal_level"), "logical",
			"The log does not hold row changes otherwise.", restart("wal_level", "logical")),
		s.freeOf(aboutSlots, f.number("max_replication_slots"), f.usedSlots, is.exists, 2, "max_replication_slots",
			"The first start holds a temporary slot until the lasting one is made. One slot serves any number of tables."),
		s.freeOf(aboutSenders, f.number("max_wal_senders"), f.usedSenders, is.pid != 0, 1, "max_wal_senders", "The stream needs a sender."),
		checkConnections(f),
		s.checkKeepSize(f, is),
		checkIdleSlot(f),
		checkSenderTimeout(f),
		s.checkIdleSession(f),
		checkDecodingMemory(f),
		checkSynchronous(f),
		aboutCommitTimes.good(f.text("track_commit_timestamp") + "; not needed, commit times are in the log"),
	}
}

// freeOf compares what is free of a server's limit with what we need, which does not grow with the number of tables.
func (s *Source) freeOf(t topic, limit int64, used int, have bool, need int64, setting, why string) cdc.Finding {
	free := max(0, limit-int64(used))
	found := fmt.Sprintf("%d of %d free; one serves all %d tables", free, limit, len(s.tables))
	if len(s.tables) == 1 {
		found = fmt.Sprintf("%d of %d free", free, limit)
	}
	if have || free >= need {
		return t.good(found)
	}
	return t.fail(found, fmt.Sprintf("at least %d free", need), why, restart(setting, limit+need))
}

// checkConnections only warns: how many are free is another number in a moment.
func checkConnections(f *facts) cdc.Finding {
	const need = 4
	limit := f.number("max_connections")
	free := max(0, limit-max(0, f.number("superuser_reserved_connections"))-int64(f.usedConnections))
	found := fmt.Sprintf("%d of %d free", free, limit)
	if free >= need {
		return aboutConnections.good(found)
	}
	return aboutConnections.warn(found, fmt.Sprintf("at least %d free", need),
		"Beside the stream Waybill asks the catalog, reads tables, and looks after the slot.", restart("max_connections", limit+need))
}

func (s *Source) checkKeepSize(f *facts, is slot) cdc.Finding {
	const t = aboutKeepSize
	if f.version < 130000 {
		return t.good("not known before PostgreSQL 13: the server keeps log without limit for a slot")
	}
	mib := f.number("max_slot_wal_keep_size")
	switch {
	case mib < 0 && s.cfg.MaxRetained > 0:
		return t.good(fmt.Sprintf("no limit, but ours: max_retained is %s", s.cfg.MaxRetained))
	case mib < 0:
		return t.warn("no limit", "a limit below the free space of the server's disk",
			"If Waybill is stopped for long, the log kept for it fills the server's disk.", reload("max_slot_wal_keep_size", "50GB"))
	case mib < 1024:
		return t.warn(cdc.Bytes(mib<<20).String(), "at least 1GiB",
			"A short stop of Waybill, or one large transaction, loses the slot, and a new snapshot must be compared.", is.keepMoreSQL())
	}
	return t.good(cdc.Bytes(mib << 20).String())
}

func checkIdleSlot(f *facts) cdc.Finding {
	const t = aboutIdleSlot
	d, ok := f.duration("idle_replication_slot_timeout")
	switch {
	case !ok:
		return t.good("not known before PostgreSQL 18")
	case d == 0:
		return t.good("off")
	case d < 3*24*time.Hour:
		return t.warn(d.String(), "off, or at least 3 days", "Waybill stopped over a weekend would lose its slot.",
			reload("idle_replication_slot_timeout", "7d"))
	}
	return t.good(d.String())
}

func checkSenderTimeout(f *facts) cdc.Finding {
	const t = aboutSender
	d, _ := f.duration("wal_sender_timeout")
	switch {
	case d == 0:
		return t.warn("off", "60s", "The server holds on to a session whose network is gone, and the slot stays in use until the system's own "+
			"timeout, hours later.", reload("wal_sender_timeout", "60s"))
	case d < 5*time.Second:
		return t.warn(d.String(), "at least 5s", "A short pause of the network ends the session.", reload("wal_sender_timeout", "60s"))
	}
	return t.good(d.String())
}

func (s *Source) checkIdleSession(f *facts) cdc.Finding {
	const t = aboutIdleSession
	d, ok := f.duration("idle_session_timeout")
	switch {
	case !ok:
		return t.good("not known before PostgreSQL 14")
	case d > 0 && d < 2*time.Minute:
		return t.warn(d.String(), "off, or at least 2m, for our role", "Connections that Waybill keeps beside the stream end between two questions.",
			fmt.Sprintf("ALTER ROLE %s SET idle_session_timeout = 0;", identifier(s.cfg.User)))
	case d > 0:
		return t.good(d.String())
	}
	return t.good("off")
}

func checkDecodingMemory(f *facts) cdc.Finding {
	const t = aboutDecodingMem
	kib := f.number("logical_decoding_work_mem")
	if kib < 0 {
		return t.good("not known before PostgreSQL 13")
	}
	found := cdc.Bytes(kib << 10).String()
	if kib < 16<<10 {
		return t.warn(found, "at least 16MiB", "Transactions larger than this are spilled to the server's disk while they are decoded.",
			reload("logical_decoding_work_mem", "64MB"))
	}
	return t.good(found)
}

var (
	everyStandby = regexp.MustCompile(`(^|[\s(,])"?\*"?($|[\s),])`)
	ourName      = regexp.MustCompile(`(?i)(^|[\s(,])"?waybill"?($|[\s),])`)
)

// checkSynchronous sees to it that no commit of the database waits for us (Invariant 13).
func checkSynchronous(f *facts) cdc.Finding {
	const t = aboutSynchronous
	names := f.text("synchronous_standby_names")
	switch {
	case strings.TrimSpace(names) == "":
		return t.good("none")
	case everyStandby.MatchString(names) || ourName.MatchString(names):
		return t.fail(names, "the standbys by their names, and not waybill",
			"Waybill's session counts as a standby by the name waybill, so commits of the database would wait for Waybill.",
			reload("synchronous_standby_names", "FIRST 1 (standby1)")+" -- with the names of your standbys")
	}
	return t.good(names)
}

// checkSession looks at what shapes values and times, and at the connection.
func (s *Source) checkSession(f *facts, ahead time.Duration) []cdc.Finding {
	zone := fmt.Sprintf("server %s; sessions of Waybill use UTC, and columns without a zone mean what the mapping declares", f.zone())
	return []cdc.Finding{checkEncoding(f.encoding), aboutTimeZone.good(zone), checkClock(ahead), s.checkEncryption(f)}
}

// zone is the server's own time zone. Our session has pinned its TimeZone, so the log's zone tells.
func (f *facts) zone() string { return f.text("log_timezone") }

func checkEncoding(encoding string) cdc.Finding {
	const t = aboutEncoding
	switch encoding {
	case "UTF8":
		return t.good(encoding)
	case "SQL_ASCII":
		return t.warn(encoding, "UTF8 or another declared encoding",
			"The server does not know what its bytes mean and cannot convert them; text that is not valid UTF-8 becomes an exception.", "")
	}
	return t.good(encoding + ", converted to UTF-8 by the server")
}

func checkClock(ahead time.Duration) cdc.Finding {
	const t = aboutClock
	found := fmt.Sprintf("the server is ahead of us by %s", ahead.Round(time.Millisecond))
	if ahead.Abs() < 5*time.Second {
		return t.good(found)
	}
	return t.warn(found, "less than 5s", "Times of events are the server's; ages and deadlines on pages would be wrong.",
		"Synchronise both clocks, by chrony or systemd-timesyncd.")
}

func (s *Source) checkEncryption(f *facts) cdc.Finding {
	const t = aboutEncryption
	switch ip := net.ParseIP(f.localTo); {
	case f.encrypted:
		return t.good("on, ssl_mode " + s.cfg.SSLMode)
	case f.localTo == "" || ip.IsLoopback():
		return t.good("off, on this machine")
	}
	return t.warn("off", "ssl_mode verify-full, or at least require", "The password's proof and every row cross the network in the clear.",
		"ssl_mode: verify-full and ssl_root_cert: the authority's file, in the configuration; on the server: "+reload("ssl", "on"))
}

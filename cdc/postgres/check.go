package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"waybill/cdc"
)

// topic is the stable name of a check; "…" stands for the thing that it looks at. CHECKS.md explains each, and a test
// compares the two.
type topic string

// The checks, in the order of their findings.
const (
	aboutVersion     topic = "server version"
	aboutIdentity    topic = "server identity"
	aboutPrimary     topic = "primary"
	aboutWALLevel    topic = "wal_level"
	aboutSlots       topic = "free replication slots"
	aboutSenders     topic = "free WAL senders"
	aboutConnections topic = "free connections"
	aboutKeepSize    topic = "max_slot_wal_keep_size"
	aboutIdleSlot    topic = "idle_replication_slot_timeout"
	aboutSender      topic = "wal_sender_timeout"
	aboutIdleSession topic = "idle_session_timeout"
	aboutDecodingMem topic = "logical_decoding_work_mem"
	aboutSynchronous topic = "synchronous_standby_names"
	aboutCommitTimes topic = "track_commit_timestamp"
	aboutEncoding    topic = "encoding"
	aboutTimeZone    topic = "time zone"
	aboutClock       topic = "clock"
	aboutEncryption  topic = "encryption"
	aboutReplication topic = "role may replicate"
	aboutPrivileges  topic = "role is not a superuser"
	aboutStatistics  topic = "role sees statistics"
	aboutOldest      topic = "long transactions"
	aboutPrepared    topic = "prepared transactions"
	aboutForgotten   topic = "forgotten slots"
	aboutStandbys    topic = "standbys"
	aboutSlot        topic = "slot …"
	aboutRunway      topic = "log runway"
	aboutTable       topic = "table …"
	aboutUsage       topic = "USAGE on schema …"
	aboutSelect      topic = "SELECT on …"
	aboutRowSecurity topic = "row security of …"
	aboutColumn      topic = "column …"
	aboutReplica     topic = "replica identity of …"
	aboutPartitions  topic = "identity of partitions of …"
	aboutAttached    topic = "new partitions of …"
	aboutOld         topic = "old values of …"
	aboutPublication topic = "publication …"
)

// of names the check of one thing.
func (t topic) of(thing string) string { return strings.Replace(string(t), "…", thing, 1) }

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

func (t topic) good(found string) cdc.Finding { return good(string(t), found) }

func (t topic) warn(found, want, why, fix string) cdc.Finding {
	return warn(string(t), found, want, why, fix)
}

func (t topic) fail(found, want, why, fix string) cdc.Finding {
	return fail(string(t), found, want, why, fix)
}

// verdict is good when ok, and fails otherwise.
func (t topic) verdict(ok bool, found, want, why, fix string) cdc.Finding {
	if ok {
		return t.good(found)
	}
	return t.fail(found, want, why, fix)
}

func failed(f cdc.Finding) bool { return f.Level == cdc.LevelFail }

// Check implements cdc.Inspector.
func (s *Source) Check(ctx context.Context) ([]cdc.Finding, error) {
	conn, err := s.cfg.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	asked := time.Now()
	f, err := readFacts(ctx, conn, s.cfg.Slot)
	if err != nil {
		return nil, err
	}
	ahead := f.clock.Sub(asked.Add(time.Since(asked) / 2))
	slot, err := readSlot(ctx, conn, s.cfg.Slot, f.version)
	if err != nil {
		return nil, err
	}
	p, err := readPublication(ctx, conn, s.cfg.Publication, f.version)
	if err != nil {
		return nil, err
	}
	list := append(s.checkServer(&f, slot), s.checkSession(&f, ahead)...)
	list = append(list, s.checkRole(&f)...)
	list = append(list, checkLoad(&f)...)
	list = append(list, s.checkSlot(slot), checkRunway(slot.runway(int64(s.cfg.MaxRetained))))
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
		hidden, err := checkRowSecurity(ctx, conn, r, &f, s.cfg.User)
		if err != nil {
			return nil, err
		}
		list = append(list, hidden...)
		list = append(list, checkIdentity(r))
		list = append(list, s.checkPartitions(r, f.version)...)
		partitioned = partitioned || r.kind == "p"
		list = append(list, s.checkOld(r)...)
		if len(p.missing([]cdc.Table{t})) > 0 {
			absent = append(absent, t)
			owned = owned && r.owned
		}
	}
	list = append(list, s.checkMessages(f.version)...)
	return append(list, s.checkPublication(p, absent, owned, partitioned, &f)...), nil
}

// reload and restart are what a changed setting needs to take effect.
func reload(setting, value string) string {
	return fmt.Sprintf("ALTER SYSTEM SET %s = '%s'; SELECT pg_reload_conf();", setting, value)
}

func restart(setting string, value any) string {
	return fmt.Sprintf("ALTER SYSTEM SET %s = %v; -- then restart the server", setting, value)
}

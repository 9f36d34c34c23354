package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// checkRole looks at what the role may do: no less than we need, and not much more.
func (s *Source) checkRole(f *facts) []cdc.Finding {
	role := identifier(s.cfg.User)
	list := []cdc.Finding{
		aboutReplication.verdict(f.role.replication, fmt.Sprintf("role %s, REPLICATION %t", s.cfg.User, f.role.replication),
			"a role with REPLICATION", "Only such a role may read the log.", fmt.Sprintf("ALTER ROLE %s REPLICATION;", role)),
	}
	if f.role.super {
		list = append(list, aboutPrivileges.warn("role "+s.cfg.User+" is a superuser", "a role of its own with REPLICATION and SELECT",
			"Whoever gets hold of its password owns the database.", "See cdc/postgres/testdata/role.sql for a role that may do what Waybill does and no more."))
	} else {
		list = append(list, aboutPrivileges.good("role "+s.cfg.User))
	}
	if f.role.seesAll {
		return append(list, aboutStatistics.good("pg_read_all_stats"))
	}
	return append(list, aboutStatistics.warn("role "+s.cfg.User+" is no member of pg_read_all_stats", "pg_read_all_stats",
		"Waybill cannot see how long transactions of others have run, nor how far standbys are behind, and so cannot warn.",
		fmt.Sprintf("GRANT pg_read_all_stats TO %s;", role)))
}

// checkLoad looks at what goes on in the server that holds the log back.
func checkLoad(f *facts) []cdc.Finding {
	return []cdc.Finding{checkOldest(f.oldest, f.oldestPID), checkPrepared(f), checkForgotten(f), checkStandbys(f)}
}

// tooOld is how long a transaction may run before a person is told.
const tooOld = 10 * time.Minute

func checkOldest(age time.Duration, pid string) cdc.Finding {
	const t = aboutOldest
	age = age.Round(time.Second)
	switch {
	case age < 0:
		return t.good("not visible to our role")
	case age < tooOld:
		return t.good(fmt.Sprintf("the oldest has run for %s", age))
	}
	return t.warn(fmt.Sprintf("process %s has been in a transaction for %s", pid, age), "none longer than 10m",
		"Making a slot waits for it, and the log is kept for as long as it runs.",
		fmt.Sprintf("SELECT pg_terminate_backend(%s); -- or set idle_in_transaction_session_timeout", pid))
}

func checkPrepared(f *facts) cdc.Finding {
	const t = aboutPrepared
	switch age := f.preparedAge.Round(time.Second); {
	case f.prepared == "":
		return t.good("none")
	case age < tooOld:
		return t.good(fmt.Sprintf("the oldest is %s old", age))
	default:
		return t.warn(fmt.Sprintf("%s was prepared %s ago", literal(f.prepared), age), "none older than 10m",
			"Making a slot waits for it, and the log and all dead rows are kept until somebody ends it.",
			fmt.Sprintf("ROLLBACK PREPARED %s; -- or COMMIT PREPARED, if its coordinator says so", literal(f.prepared)))
	}
}

// forgottenBytes is how much log an unused slot of somebody else may keep before a person is told.
const forgottenBytes = 1 << 30

func checkForgotten(f *facts) cdc.Finding {
	const t = aboutForgotten
	switch {
	case f.idleSlot == "":
		return t.good("none")
	case f.idleBytes < forgottenBytes:
		return t.good(fmt.Sprintf("slot %s is not in use and keeps %s", f.idleSlot, cdc.Bytes(f.idleBytes)))
	}
	return t.warn(fmt.Sprintf("slot %s is not in use and keeps %s of log", f.idleSlot, cdc.Bytes(f.idleBytes)), "less than 1GiB",
		"It fills the server's disk, and Waybill would be blamed. If nobody will come back for it, drop it.",
		fmt.Sprintf("SELECT pg_drop_replication_slot(%s);", literal(f.idleSlot)))
}

func checkStandbys(f *facts) cdc.Finding {
	const t = aboutStandbys
	found := fmt.Sprintf("%d, the last %s behind", f.standbys, f.behind.Round(time.Millisecond))
	switch {
	case f.standbys == 0:
		return t.good("none")
	case f.behind < time.Minute:
		return t.good(found + "; our slot is not on them, so a promotion needs a compared snapshot")
	}
	return t.warn(found, "less than 1m", "A snapshot adds reading to the server's work; start it when the standbys have caught up.",
		"SELECT application_name, state, replay_lag FROM pg_stat_replication;")
}

func (s *Source) checkSlot(is slot) cdc.Finding {
	check := aboutSlot.of(s.cfg.Slot)
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
		return fail(check, found, "wal_status reserved", "The server will remove log that was not read at its next checkpoint.", is.keepMoreSQL())
	case is.pid != 0:
		return good(check, fmt.Sprintf("%s, in use by process %d", found, is.pid))
	}
	return good(check, found)
}

// runway is what one reading of the slot tells.
func (is slot) runway(maxRetained int64) cdc.Runway {
	r := measured{Runway: cdc.Runway{Retained: is.retained, Safe: is.safe, Status: is.status}}
	if !is.exists {
		r.Retained, r.Safe, r.Status = -1, -1, "missing"
	}
	r.compare(measured{}, maxRetained)
	return r.Runway
}

// soon is how long the log's runway must be at the present rate.
const soon = 24 * time.Hour

func checkRunway(r cdc.Runway) cdc.Finding {
	const t = aboutRunway
	found := fmt.Sprintf("%s kept for us", cdc.Bytes(max(0, r.Retained)))
	if r.Safe >= 0 {
		found += fmt.Sprintf(", %s more may be written", cdc.Bytes(r.Safe))
	}
	if r.Left > 0 {
		found += fmt.Sprintf(", which is %s at the present rate", r.Left.Round(time.Second))
	}
	fix := "Start Waybill, or look why it does not read: waybill status. To have more time: " +
		slot{retained: r.Retained, limit: r.Retained + r.Safe}.keepMoreSQL()
	switch {
	case r.Status == "missing":
		return t.good("no log is kept for us yet")
	case r.Left >= 0 && r.Left < soon:
		return t.warn(found, "at least "+soon.String(), "When "+r.Bound+" is reached, log that was not read is lost, and a compared snapshot is needed.", fix)
	case r.Safe >= 0 && r.Safe < r.Retained: // more than half is used
		return t.warn(found, "less than half of max_slot_wal_keep_size", "When it is reached, log that was not read is lost, and a compared snapshot is needed.", fix)
	}
	return t.good(found)
}

const rowSecuritySQL = `SELECT c.relrowsecurity AND (NOT pg_has_role(c.relowner, 'USAGE') OR c.relforcerowsecurity) FROM pg_class c WHERE c.oid = $1`

// checkRowSecurity finds tables of which our role would not see every row.
func checkRowSecurity(ctx context.Context, conn *pgx.Conn, r *relation, f *facts, user string) ([]cdc.Finding, error) {
	var hidden bool
	if err := conn.QueryRow(ctx, rowSecuritySQL, r.oid).Scan(&hidden); err != nil {
		return nil, fmt.Errorf("looking up the row security of %s: %w", r.table, err)
	}
	if !hidden || f.role.bypass {
		return nil, nil
	}
	return []cdc.Finding{fail(aboutRowSecurity.of(r.table.String()), "policies hide rows from role "+user, "a role that sees every row",
		"The snapshot would be refused, so that it is never a part of the table.", fmt.Sprintf("ALTER ROLE %s BYPASSRLS;", identifier(user)))}, nil
}

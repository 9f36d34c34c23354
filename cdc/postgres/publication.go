package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// publicationNote marks a publication as made by us: only such a one is dropped by Release.
const publicationNote = "made by waybill"

// publication is the server's publication of our name.
type publication struct {
	exists    bool
	owned     bool // the role may alter it
	ours      bool // it carries our note
	allTables bool
	viaRoot   bool
	publishes bool // insert, update, delete and truncate
	tables    []cdc.Table
	narrowed  []string // tables with a row filter or column list
}

func readPublication(ctx context.Context, conn *pgx.Conn, name string, version int) (*publication, error) {
	root := "true"
	if version >= 130000 {
		root = "pubviaroot"
	}
	p := &publication{exists: true}
	err := conn.QueryRow(ctx, `SELECT pg_has_role(pubowner, 'USAGE'), puballtables, `+root+`,
		pubinsert AND pubupdate AND pubdelete AND pubtruncate, coalesce(obj_description(oid, 'pg_publication') = $2, false)
		FROM pg_publication WHERE pubname = $1`, name, publicationNote).Scan(&p.owned, &p.allTables, &p.viaRoot, &p.publishes, &p.ours)
	if errors.Is(err, pgx.ErrNoRows) {
		return &publication{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading publication %q: %w", name, err)
	}
	narrow := "false"
	if version >= 150000 {
		narrow = `coalesce((SELECT r.prqual IS NOT NULL OR r.prattrs IS NOT NULL FROM pg_publication_rel r
			JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = t.pubname AND r.prrelid =
			format('%I.%I', t.schemaname, t.tablename)::regclass), false)`
	}
	rows, err := conn.Query(ctx, `SELECT schemaname::text, tablename::text, `+narrow+` FROM pg_publication_tables t
		WHERE pubname = $1 ORDER BY 1, 2`, name)
	if err != nil {
		return nil, fmt.Errorf("reading the tables of publication %q: %w", name, err)
	}
	var (
		t        cdc.Table
		filtered bool
	)
	_, err = pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &filtered}, func() error {
		p.tables = append(p.tables, t)
		if filtered {
			p.narrowed = append(p.narrowed, t.String())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tables of publication %q: %w", name, err)
	}
	return p, nil
}

// missing returns the tables that the publication does not contain.
func (p *publication) missing(tables []cdc.Table) []cdc.Table {
	return slices.DeleteFunc(slices.Clone(tables), func(t cdc.Table) bool { return slices.Contains(p.tables, t) })
}

// createSQL is the statement that makes the publication.
func (s *Source) createSQL(tables []cdc.Table, version int) string {
	with := ""
	if version >= 130000 {
		with = " WITH (publish_via_partition_root = true)"
	}
	of := ""
	if len(tables) > 0 { // messages need a publication, too, and none of its tables
		of = " FOR TABLE " + tableList(tables)
	}
	return fmt.Sprintf("CREATE PUBLICATION %s%s%s", identifier(s.cfg.Publication), of, with)
}

func (s *Source) addSQL(tables []cdc.Table) string {
	return fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s", identifier(s.cfg.Publication), tableList(tables))
}

// addTables makes sure that the publication exists and contains the selected tables. Invariant 13: a table without a usable
// replica identity is never added, because the database would from then on refuse its UPDATEs and DELETEs; and one that has
// lost its identity since it was added is refused, because they fail already.
func (s *Source) addTables(ctx context.Context, conn *pgx.Conn, version int) error {
	p, err := readPublication(ctx, conn, s.cfg.Publication, version)
	if err != nil {
		return err
	}
	missing := p.missing(s.tables)
	var findings []cdc.Finding
	var absent []cdc.Table
	for _, t := range s.tables {
		r, err := lookUp(ctx, conn, t)
		if err != nil {
			return err
		}
		switch {
		case r == nil: // dropped since: the rest of the stream goes on, and check says so
			s.log.Warn("a selected table does not exist", "source", s.cfg.Name, "table", t.String())
		case slices.Contains(missing, t):
			absent = append(absent, t)
			findings = append(findings, s.checkTable(t, r)...)
			if r.publishable() {
				findings = append(findings, checkIdentity(r))
			}
		case !r.usable:
			findings = append(findings, s.identityLost(r))
		}
	}
	if slices.ContainsFunc(findings, failed) {
		return &cdc.RefusedError{Source: s.cfg.Name, Findings: findings}
	}
	if !p.exists || len(absent) > 0 {
		if err := s.extend(ctx, conn, p, absent, version); err != nil {
			return err
		}
	}
	return s.markSettled(ctx, conn, version)
}

func (s *Source) identityLost(r *relation) cdc.Finding {
	f := checkIdentity(r)
	f.Found += ", and the table is published"
	f.Why = "PostgreSQL refuses every UPDATE and DELETE of the table for as long as it is published."
	f.Fix += fmt.Sprintf("\n    or: ALTER PUBLICATION %s DROP TABLE %s; -- and take it out of the mapping",
		identifier(s.cfg.Publication), tableName(r.table))
	return f
}

// extend adds the tables to the publication, or makes it of them.
func (s *Source) extend(ctx context.Context, conn *pgx.Conn, p *publication, tables []cdc.Table, version int) error {
	sql, mark := s.addSQL(tables), ""
	if !p.exists {
		sql = s.createSQL(tables, version)
		mark = fmt.Sprintf("; COMMENT ON PUBLICATION %s IS %s", identifier(s.cfg.Publication), literal(publicationNote))
	}
	if _, err := conn.Exec(ctx, sql+mark); err != nil { // one statement list, one transaction
		return &cdc.RefusedError{Source: s.cfg.Name, Findings: []cdc.Finding{{Check: "publication " + s.cfg.Publication,
			Level: cdc.LevelFail, Found: fmt.Sprintf("it lacks %s, and adding them failed: %v", names(tables), err),
			Want: "a publication of every selected table", Why: "Changes of other tables are not in the stream.", Fix: sql + ";"}}}
	}
	s.log.Info("published tables", "source", s.cfg.Name, "publication", s.cfg.Publication, "tables", names(tables))
	return nil
}

// The stream lacks what a transaction did to a table before the table was published, so a chunk is read only when all such
// transactions have ended: see settledIn. Those are not all older than the transaction that added the table, but they are
// older than one that begins when that has ended. Setting an option to what it is leaves the number of such a one behind.
const settledSQL = `SELECT coalesce(bool_or(age(r.xmin) < age(p.xmin)), false), pg_has_role(p.pubowner, 'USAGE'), %s
FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = $1 GROUP BY p.oid`

func (s *Source) markSettled(ctx context.Context, conn *pgx.Conn, version int) error {
	name := identifier(s.cfg.Publication)
	options := `format('publish = %L', concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
		CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END))`
	if version >= 130000 {
		options = "'publish_via_partition_root = ' || pubviaroot"
	}
	var (
		added, owned bool
		same         string
	)
	err := conn.QueryRow(ctx, fmt.Sprintf(settledSQL, options), s.cfg.Publication).Scan(&added, &owned, &same)
	if err != nil {
		return fmt.Errorf("reading publication %q: %w", s.cfg.Publication, err)
	}
	if !added || !owned { // its owner added the table, and may not have heard of this
		return nil
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf("ALTER PUBLICATION %s SET (%s)", name, same)); err != nil {
		return fmt.Errorf("marking publication %q: %w", s.cfg.Publication, err)
	}
	return nil
}

func names(tables []cdc.Table) string {
	list := make([]string, len(tables))
	for i, t := range tables {
		list[i] = t.String()
	}
	return strings.Join(list, ", ")
}

func tableList(tables []cdc.Table) string {
	list := make([]string, len(tables))
	for i, t := range tables {
		list[i] = tableName(t)
	}
	return strings.Join(list, ", ")
}

func tableName(t cdc.Table) string { return identifier(t.Schema) + "." + identifier(t.Name) }

// identifier and literal quote for SQL.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

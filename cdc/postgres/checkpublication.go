package postgres

import (
	"fmt"
	"strings"

	"waybill/cdc"
)

// checkPublication looks at the publication, or at whether we may make it.
func (s *Source) checkPublication(p *publication, absent []cdc.Table, owned, partitioned bool, f *facts) []cdc.Finding {
	check := aboutPublication.of(s.cfg.Publication)
	switch {
	case !p.exists && len(absent) == 0:
		return nil
	case !p.exists && f.role.mayCreate && owned:
		return []cdc.Finding{good(check, "does not exist yet; the first start makes it")}
	case !p.exists:
		return []cdc.Finding{fail(check, fmt.Sprintf("does not exist, and role %s may not make it", s.cfg.User),
			"a publication of the selected tables", "The stream carries published tables only.",
			"Run as the tables' owner: "+s.createSQL(absent, f.version)+";")}
	}
	var list []cdc.Finding
	add := func(found, want, why, fix string) { list = append(list, fail(check, found, want, why, fix)) }
	name := identifier(s.cfg.Publication)
	if len(absent) > 0 && !(p.owned && owned) {
		add(fmt.Sprintf("lacks %s, and role %s may not add tables", names(absent), s.cfg.User), "all selected tables",
			"The stream carries published tables only.", "Run as the owner: "+s.addSQL(absent)+";")
	}
	if !p.publishes {
		add("does not publish every operation", "insert, update, delete, truncate", "Some changes are not in the stream.",
			s.publishSQL())
	}
	if !p.viaRoot && partitioned {
		add("publishes partitions under their own names", "publish_via_partition_root",
			"Changes of a partitioned table come under names that the mapping does not know.",
			fmt.Sprintf("ALTER PUBLICATION %s SET (publish_via_partition_root = true);", name))
	}
	if len(p.narrowed) > 0 {
		add("has a row filter or column list for "+strings.Join(p.narrowed, ", "), "whole tables", "Some changes are not in the stream.",
			s.wholeSQL())
	}
	if p.allTables {
		list = append(list, warn(check, "FOR ALL TABLES", "FOR TABLE with the selected tables",
			"PostgreSQL refuses UPDATEs of any table without a replica identity, and sends us changes that nobody reads.",
			fmt.Sprintf("DROP PUBLICATION %s; -- while Waybill is stopped; then %s;", name, s.createSQL(s.tables, f.version))))
	}
	if len(list) == 0 {
		list = append(list, good(check, fmt.Sprintf("contains %d selected tables, %d to be added", len(s.tables)-len(absent), len(absent))))
	}
	return list
}

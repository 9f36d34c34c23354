package mysql

import (
	"bytes"
	"strings"
	"testing"
)

func TestSnapshotThenStream(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "USE "+db+`; CREATE TABLE load_(id INT PRIMARY KEY, ref VARCHAR(20) CHARSET latin1, amt DECIMAL(10,2), secret VARCHAR(9), unread INT);
		INSERT INTO load_ VALUES (1,'Zürich',12.5,'hidden',1),(2,NULL,-0.05,'hidden',2);`)
	cfg := config(server, db)
	cfg.Masked = []string{"load_.secret"}
	f := follow(t, cfg, pick("load_", "ref", "amt")).open()
	server.Exec(t, "USE "+db+`; INSERT INTO load_ VALUES (3,'c',3,'hidden',3);
		UPDATE load_ SET amt=4 WHERE id=1; DELETE FROM load_ WHERE id=2`)
	f.until(2)
	server.Exec(t, "TRUNCATE TABLE "+db+".load_")
	equalRows(t, f.until(6),
		"snapshot load_ new id=1 ref=Zürich amt=12.50",
		"snapshot load_ new id=2 ref=NULL amt=-0.05",
		"insert load_ new id=3 ref=c amt=3.00",
		"update load_ old id=1 ref=Zürich amt=12.50 new id=1 ref=Zürich amt=4.00",
		"delete load_ old id=2 ref=NULL amt=-0.05",
		"truncate load_")
	f.settled()
	if lag := f.src.Lag(); !lag.Connected || lag.Bytes != 0 || lag.Position != f.pos || lag.Confirmed != f.pos {
		t.Errorf("%+v at %s", lag, f.pos)
	}
	f.reopen()
	server.Exec(t, "USE "+db+"; INSERT INTO load_ VALUES (4,'d',4,'hidden',3)")
	equalRows(t, f.until(7)[6:], "insert load_ new id=4 ref=d amt=4.00")
	for _, b := range f.batches {
		if !strings.HasPrefix(b.Identity, "mariadb/1-0/") || bytes.Contains(b.Data, []byte("hidden")) {
			t.Errorf("%+v", b)
		}
	}
	if f.commits[0] != f.commits[1] || !strings.HasPrefix(f.commits[0], "snapshot/binlog.") || !strings.HasPrefix(f.commits[2], "0-1-") {
		t.Errorf("commits %v", f.commits)
	}
}

package mysql

import (
	"testing"
	"time"
)

// TestStrain asks a server that knows its clock, and nothing of its replicas.
func TestStrain(t *testing.T) {
	db := database(t, server)
	server.Exec(t, "CREATE TABLE "+db+".t(id INT PRIMARY KEY)")
	f := follow(t, config(server, db), pick("t")).tail()
	got, err := f.src.Strain(t.Context())
	if err != nil || got.Replica != "" || got.Behind != 0 {
		t.Fatalf("%v %+v", err, got)
	}
	if off := time.Since(got.Clock); off < -time.Minute || off > time.Minute {
		t.Errorf("the server's clock on this machine is %s", got.Clock)
	}
}

package main

// mutant breaks one promise: it replaces a text, which must be there once, in a file, and names the package and the tests
// that must turn red.
type mutant struct {
	name     string
	file     string
	old, new string
	tests    [2]string // package, pattern of -run
	env      []string
}

var mutants = []mutant{
	{
		name: "confirm before sync", file: "pipeline/capture.go", // Invariant 1
		old:   "		_, err := c.store.Append(context.WithoutCancel(ctx), entries...)\n",
		new:   "		if p := group[len(group)-1].Position; p != \"\" {\n			c.src.Confirm(p)\n		}\n		_, err := c.store.Append(context.WithoutCancel(ctx), entries...)\n",
		tests: [2]string{"./cmd/internal/e2e", "^TestSyncOrder$"},
	},
	{
		name: "sync removed", file: "checkpoint/segment.go", // Invariants 1 and 8
		old:   "	err := f.WritableFile.Sync()\n",
		new:   "	err := error(nil)\n",
		tests: [2]string{"./cmd/internal/e2e", "^TestSyncOrder$"},
	},
	{
		name: "verify skipped", file: "pipeline/worker.go", // Invariant 9
		old:   "			goOn, err = l.verify(hard, d)\n",
		new:   "			goOn, err = l.send(ctx, hard, d, &verified)\n",
		tests: [2]string{"./pipeline", "^(TestUnknownIsVerifiedNeverResentBlind|TestCrashBetweenCommitAndOutcomeIsVerified)$"},
	},
	{
		name: "verify skipped, whole program", file: "pipeline/worker.go", // Invariants 8 and 9
		old:   "			goOn, err = l.verify(hard, d)\n",
		new:   "			goOn, err = l.send(ctx, hard, d, &verified)\n",
		tests: [2]string{"./cmd/internal/e2e", "^TestCrash$"},
		env:   []string{"CRASH_KILLS=15"},
	},
	{
		name: "verify skipped, before the clouds", file: "pipeline/worker.go", // Invariants 8 and 9
		old:   "			goOn, err = l.verify(hard, d)\n",
		new:   "			goOn, err = l.send(ctx, hard, d, &verified)\n",
		tests: [2]string{"./cmd/internal/e2e", "^TestCrashClouds$"},
		env:   []string{"CRASH_CLOUD_KILLS=5"},
	},
	{
		name: "a write that net/http may send again", file: "sinks/web/client.go", // Invariant 9
		old:   "onlyOnce{bytes.NewReader(r.Body)}",
		new:   "bytes.NewReader(r.Body)",
		tests: [2]string{"./sinks/web", "^TestAWriteOnADeadConnectionIsSentOnce$"},
	},
	{
		name: "early absence believed", file: "pipeline/worker.go", // Invariant 9
		old:   "	case o.Class == sinks.Absent && now.Before(certain):\n",
		new:   "	case o.Class == sinks.Absent && now.Before(certain) && false:\n",
		tests: [2]string{"./pipeline", "^TestLateCommitAfterTheFirstLook$"},
	},
	{
		name: "parts visible", file: "pipeline/rows.go", // Invariant 2
		old:   "	if b.More {\n",
		new:   "	if b.More && b.Source == \"\" {\n",
		tests: [2]string{"./pipeline", "^TestPartsAreInvisibleUntilTheEnd$"},
	},
	{
		name: "advance without outcome", file: "pipeline/settle.go", // Invariants 3 and 9
		old:   "	case sinks.Unknown:\n		d.State, d.RetryAt = StateSent, o.RetryAt\n		return s.putDelivery(d)\n",
		new:   "	case sinks.Unknown:\n		return p.delivered(s, d, o, e)\n",
		tests: [2]string{"./pipeline", "^(TestUnknownIsVerifiedNeverResentBlind|TestLateCommitAfterTheFirstLook)$"},
	},
	{
		name: "intent not journalled", file: "pipeline/worker.go", // Invariant 8
		old:   "	if _, err := l.store.Append(hard, checkpoint.Entry{Kind: checkpoint.Intent, Payload: payload}); err != nil {\n",
		new:   "	if err := error(nil); err != nil || payload == nil {\n",
		tests: [2]string{"./pipeline", "^TestUnknownIsVerifiedNeverResentBlind$"},
	},
}

package sinks

// Memory is what an adapter or a governor keeps beside the journal: a day's budget that is used up, a refresh token that rotates, the job under
// which a target works on a request. It is small and seldom written. Names are file names without a separator.
type Memory interface {
	// Remember replaces the text of a name and syncs it before it returns. Secrets are written with a mode that only their owner reads.
	Remember(name, text string) error
	// Recall returns the text remembered last, or "".
	Recall(name string) (string, error)
}

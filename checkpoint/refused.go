package checkpoint

import "errors"

// Refused reports whether an append was refused for want of room: nothing is broken, and the same entries may be
// appended again when there is space.
func Refused(err error) bool {
	var floor *FloorError
	return errors.Is(err, ErrJournalFull) || errors.As(err, &floor)
}

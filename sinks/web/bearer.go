package web

// Bearer is a token that somebody made, with each request (RFC 6750).
type Bearer struct {
	// The token, without the word Bearer; or token_file, token_command.
	Token Secret `yaml:"token"`
}

func (b Bearer) validate(at string, bad fault) { needs(at+"token", b.Token, bad) }

func (b Bearer) auth() Auth { return prefixed("Authorization", "Bearer ", b.Token) }

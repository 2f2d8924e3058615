package account

import "github.com/telamondb/telamon/wire/auth"

// verifier tells what has proved right, and leaves everything else to the
// authority: the password may have been changed.
type verifier struct {
	known auth.Verifier // nil = nothing has
}

// Supports implements auth.Verifier: the answers of these plugins can be judged,
// or lead to one that can.
func (v verifier) Supports(plugin string) bool {
	switch plugin {
	case auth.NativePassword, auth.CachingSHA2, auth.ClearPassword:
		return true
	}
	return false
}

// CheckResponse implements auth.Verifier.
func (v verifier) CheckResponse(plugin string, salt, response []byte) auth.Fast {
	if v.known != nil && v.known.CheckResponse(plugin, salt, response) == auth.Right {
		return auth.Right
	}
	return auth.Unknown
}

// CheckPassword implements auth.Verifier.
func (v verifier) CheckPassword(password []byte) auth.Fast {
	if v.known != nil && v.known.CheckPassword(password) == auth.Right {
		return auth.Right
	}
	return auth.Unknown
}

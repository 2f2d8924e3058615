package conf

import (
	"crypto/subtle"
)

// masked is what every secret looks like in print.
const masked = "***"

// Secret is a password. It prints as "***" however it is formatted or
// marshalled; only Reveal gives the text. The zero Secret is empty.
type Secret struct {
	value string
}

// NewSecret returns the secret with that text, taken literally.
func NewSecret(text string) Secret { return Secret{value: text} }

// Reveal returns the text of the secret, for those who must send it or
// compare it. It belongs in no log line, error or page.
func (s Secret) Reveal() string { return s.value }

// Empty tells whether there is no password.
func (s Secret) Empty() bool { return s.value == "" }

// Equal compares in a time that does not depend on where the two differ.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.value), []byte(other.value)) == 1
}

// String returns "***", also for an empty secret.
func (s Secret) String() string { return masked }

// GoString returns "***": %#v prints no password either.
func (s Secret) GoString() string { return masked }

// MarshalText returns "***" to encoders of JSON, TOML and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

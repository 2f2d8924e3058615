package lex_test

import (
	"testing"

	"github.com/telamondb/telamon/router/lex"
)

func TestKnown(t *testing.T) {
	for word, want := range map[string]bool{
		"": false, "id": false, "cid": false, "thread_id": false, "selection": false,
		"select": true, "FROM": true, "Limit": true, "Connection_ID": true, "FOUND_ROWS": true, "union": true,
	} {
		if got := lex.Known([]byte(word)); got != want {
			t.Errorf("Known(%q) = %v", word, got)
		}
	}
}

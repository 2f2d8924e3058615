package router_test

import (
	"os"
	"strings"
)

// knownWords are the words of the scanner's lists: functions and reserved words
// of both flavours. They are constants of another package, read from its source.
var knownWords = func() []string {
	source, err := os.ReadFile("lex/builtins.go")
	if err != nil {
		panic(err)
	}
	var words []string
	for i, part := range strings.Split(string(source), "`") {
		if i%2 == 1 { // between backquotes
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}()

package lex

// Known reports whether a word, in any case, means something to the servers:
// whether it is a keyword, a reserved word or the name of a built-in function
// of either flavour. Any other word can only be a name.
func Known(word []byte) bool {
	if len(word) == 0 {
		return false
	}
	lo, hash := foldWord(word, 0, len(word))
	return lookup(word, 0, len(word), lo, hash) != 0
}

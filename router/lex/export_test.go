package lex

// Words returns all words of the table.
func Words() []string {
	var names []string
	for _, w := range words[1:] {
		names = append(names, w.name)
	}
	return names
}

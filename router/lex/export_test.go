package lex

// Words returns all words of the table.
func Words() []string {
	var names []string
	for _, w := range words[1:] {
		names = append(names, w.name)
	}
	return names
}

// ScanCarefully is Scan without the shortcuts in run.
func ScanCarefully(stmt []byte, mode Mode, f *Facts) {
	f.reset(stmt, mode)
	var s scanner
	s.init(stmt, mode, f)
	s.careful = true
	s.run()
	f.Digest = s.digest
}

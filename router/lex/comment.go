package lex

import "bytes"

// isDashComment reports whether -- at i begins a comment: a blank, a control
// character or the end has to follow (measured).
func (s *scanner) isDashComment(i int) bool {
	b := s.b
	if i+1 >= len(b) || b[i+1] != '-' {
		return false
	}
	return i+2 == len(b) || b[i+2] <= ' ' || b[i+2] == 0x7F
}

// lineComment skips to the end of the line. Only \n ends one.
func (s *scanner) lineComment(i int) int {
	end := len(s.b)
	if n := bytes.IndexByte(s.b[i:], '\n'); n >= 0 {
		end = i + n + 1
	}
	s.checkHidden(i, end)
	return end
}

// comment skips /* ... */ or steps into /*! and /*M!.
func (s *scanner) comment(i int) int {
	b := s.b
	body := i + 2
	if body < len(b) && (b[body] == '!' || b[body] == 'M' && body+1 < len(b) && b[body+1] == '!') {
		return s.executable(i)
	}
	n := bytes.Index(b[body:], endComment)
	if n < 0 {
		s.unterminated(i)
		return len(b)
	}
	end := body + n
	if body < end && b[body] == '+' && bytes.ContainsAny(b[body:end], "'\"`") {
		// An optimizer hint with quotes: a server that knows hints may look
		// for the end behind them.
		s.f.Flags |= FlagUncertain
	}
	if s.f.Statements == 0 && (s.phase == phStart || s.prevEnd == s.verbEnd && s.last.prev() == tokWord) {
		s.hint(body, end)
	}
	return end + 2
}

// executable steps into an executable comment. Its content is scanned as if it
// ran; what might differ if it did not run makes the statement uncertain.
func (s *scanner) executable(i int) int {
	s.f.Flags |= FlagExecutableComment
	if s.exec > 0 {
		s.f.Flags |= FlagUncertain // nested: servers differ
	}
	s.exec++
	s.careful = true
	s.boundary = true
	s.emitExecutable("/*!")
	i = bytes.IndexByte(s.b[i:], '!') + i + 1
	return digits(s.b, i)
}

func (s *scanner) endExecutable(i int) int {
	s.exec--
	s.boundary = true
	s.emitExecutable("*/")
	return i + 2
}

// hint reads one comment in the place of a hint.
func (s *scanner) hint(start, end int) {
	text := bytes.Trim(s.b[start:end], " \t\r\n")
	h := &s.f.Hint
	n := 0
	for n < len(text) && (byteClass[text[n]] == clWord) {
		n++
	}
	key, rest := text[:n], bytes.TrimLeft(text[n:], " \t\r\n")
	var arg []byte
	sep := byte(0)
	if len(rest) > 0 {
		sep, arg = rest[0], bytes.TrimLeft(rest[1:], " \t\r\n")
		if (sep != '=' && sep != '@') || len(arg) == 0 || bytes.ContainsAny(arg, " \t\r\n") {
			return // an ordinary comment
		}
	}
	if n == 0 {
		return
	}
	s.f.hinted = true
	primary := equalFold(key, "master") || equalFold(key, "primary")
	replica := equalFold(key, "slave") || equalFold(key, "replica")
	switch {
	case sep == 0 && primary:
		h.Route, h.Arg = HintPrimary, nil
	case sep == 0 && replica:
		h.setRoute(HintReplica, nil)
	case sep == '@' && replica:
		h.setRoute(HintTag, arg)
	case sep == '=' && equalFold(key, "backend"):
		h.setRoute(HintBackend, arg)
	case sep == '=' && equalFold(key, "max_lag") && isDuration(arg):
		h.MaxLag = arg
	case sep == '=' && equalFold(key, "consistency") && isConsistency(arg):
		h.Consistency = arg
	default:
		s.f.Flags |= FlagUnknownHint
	}
}

// isDuration reports whether b is digits and one of ms, s, m.
func isDuration(b []byte) bool {
	n := digits(b, 0)
	unit := b[n:]
	return n > 0 && n < 10 && (equalFold(unit, "ms") || equalFold(unit, "s") || equalFold(unit, "m"))
}

func isConsistency(b []byte) bool {
	return equalFold(b, "off") || equalFold(b, "session") || equalFold(b, "global")
}

func (h *Hint) setRoute(r RouteHint, arg []byte) {
	if h.Route != HintPrimary {
		h.Route, h.Arg = r, arg
	}
}

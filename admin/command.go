package admin

import (
	"strings"
)

// command is one line of the console's grammar. The table of all of them
// (commands.go) is what matching, help and audit go by.
type command struct {
	// pattern is the command as help shows it: words to match in any case,
	// and $name for one argument. $pwd takes the rest of the statement,
	// $statement the rest of the packet as it was written.
	pattern string
	help    string // empty = not shown by help
	flags   commandFlags
	run     func(r *request) (*table, error)
}

type commandFlags byte

const (
	// rows: the result is a table that WHERE, ORDER BY, LIMIT and LIKE apply to.
	rows commandFlags = 1 << iota
	// mutates: the command changes something and is written to the audit log.
	mutates
	// secret: the arguments hold a password and are masked in the audit log.
	secret
	// yields: what clients send on their own is tried first.
	yields
)

// request is one statement on its way through a command.
type request struct {
	*session
	cmd  *command
	args []string // of the pattern, in order

	// target is the address of the backend the command turned out to be
	// about, for the audit log: a number alone says nothing a day later.
	target string
}

// grammar is the command table with its patterns cut into words.
type grammar []rule

type rule struct {
	*command
	words []string // lower case; "$x" = argument
}

// newGrammar prepares commands; earlier ones win.
func newGrammar(commands []command) grammar {
	g := make(grammar, len(commands))
	for i := range commands {
		g[i] = rule{&commands[i], strings.Fields(strings.ToLower(commands[i].pattern))}
	}
	return g
}

// Words that stand for Atlas's in every command.
var synonyms = map[string]string{"primary": "master", "replica": "slave"}

// match compares the tokens at p with the rule and, when they fit as far as
// the pattern goes, returns the arguments and leaves p behind them.
func (r rule) match(p *parser) (args []string, ok bool) {
	for _, w := range r.words {
		t := p.peek()
		switch {
		case w == "$statement":
			if t.kind != tokenRest {
				return nil, false
			}
			args = append(args, t.text)
		case w == "$pwd":
			args = append(args, p.remainder())
			continue
		case w[0] == '$':
			if t.kind != tokenWord && t.kind != tokenString {
				return nil, false
			}
			args = append(args, t.text)
		case !t.is(w) && synonyms[strings.ToLower(t.text)] != w:
			return nil, false
		}
		p.next()
	}
	return args, true
}

// remainder consumes all tokens that are left and returns their text; for
// passwords, which may hold punctuation.
func (p *parser) remainder() string {
	var all strings.Builder
	for p.peek().kind != tokenEnd {
		all.WriteString(p.next().text)
	}
	return all.String()
}

// parsed is a statement that has been recognised.
type parsed struct {
	cmd    *command
	args   []string
	filter filter
}

// parse finds the command that the tokens are. The error is errUnknownCommand
// when there is none, or what is wrong behind the command's own words.
func (g grammar) parse(tokens []token) (parsed, error) {
	err := error(errUnknownCommand)
	for _, r := range g {
		p := &parser{tokens: tokens}
		args, ok := r.match(p)
		if !ok {
			continue
		}
		found := parsed{cmd: r.command, args: args, filter: filter{limit: -1}}
		if p.peek().kind == tokenEnd {
			return found, nil
		}
		if r.flags&rows == 0 {
			continue // SHOW CONFIG is a prefix of SHOW CONFIG DIFF
		}
		f, tailErr := parseFilter(p)
		if tailErr == nil {
			found.filter = f
			return found, nil
		}
		if startsTail(p.tokens[len(r.words)]) {
			err = &sqlError{text: tailErr.Error()}
		}
	}
	return parsed{}, err
}

// startsTail tells "a known command with a bad WHERE" from "something else".
func startsTail(t token) bool {
	return t.is("where") || t.is("order") || t.is("limit") || t.is("like")
}

// split cuts a packet into statements at its semicolons and drops empty ones.
func split(tokens []token) [][]token {
	var all [][]token
	start := 0
	for i, t := range tokens {
		if !t.is(";") && t.kind != tokenEnd {
			continue
		}
		if i > start {
			end := token{kind: tokenEnd, pos: t.pos, end: t.pos}
			all = append(all, append(tokens[start:i:i], end))
		}
		start = i + 1
	}
	return all
}

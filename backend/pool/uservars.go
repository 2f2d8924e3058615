package pool

import (
	"slices"
	"strings"
)

// UserVar is a user variable whose value is known.
type UserVar struct {
	// Name in lower case, without the @.
	Name string
	// Set is what stands behind SET to give it its value, and its type: what a
	// variable is that is set to NULL depends on what it was before (measured,
	// MariaDB 10.11 and MySQL 9.7).
	Set string
}

// WithUserVar returns p with a user variable set to an expression that means
// the same in every session. The name is in lower case and without backticks.
func (p *Profile) WithUserVar(name, expr string) *Profile {
	i, found := slices.BinarySearchFunc(p.UserVars, name, func(v UserVar, name string) int {
		return strings.Compare(v.Name, name)
	})
	set := "@`" + name + "`=" + expr
	if found {
		switch old := p.UserVars[i].Set; {
		case old == set, expr == "NULL" && isNull(old):
			return p
		case expr == "NULL":
			set = old + "," + set
		}
	}
	q := *p
	q.UserVars = slices.Clone(p.UserVars)
	if found {
		q.UserVars[i].Set = set
	} else {
		q.UserVars = slices.Insert(q.UserVars, i, UserVar{name, set})
	}
	return &q
}

// isNull reports whether a UserVar.Set ends with NULL as the value.
func isNull(set string) bool { return strings.HasSuffix(set, "=NULL") }

// userVar returns the Set of a user variable, "" if it has none.
func (p *Profile) userVar(name string) string {
	for i := range p.UserVars {
		if p.UserVars[i].Name == name {
			return p.UserVars[i].Set
		}
	}
	return ""
}

// extendsUserVars is extends for user variables: none can be made to have never
// been set, and NULL leaves the type of the value before.
func extendsUserVars(have, want *Profile) bool {
	for i := range have.UserVars {
		v := &have.UserVars[i]
		set := want.userVar(v.Name)
		if set == "" || set != v.Set && set == "@`"+v.Name+"`=NULL" {
			return false
		}
	}
	return true
}

package fakebackend

import "strings"

// trackedByDefault is the default of session_track_system_variables of both
// flavours.
const trackedByDefault = "autocommit,character_set_client,character_set_connection,character_set_results,time_zone"

// set answers SET: assignments change what later answers carry and are reported
// as session tracking asks for it. Everything else is accepted.
func (c *session) set(q string) {
	c.server.others.Add(1)
	text := strings.TrimSpace(q[len("SET"):])
	words := strings.Fields(strings.ToLower(text))
	var state []byte
	switch {
	case len(words) >= 2 && (words[0] == "names" || words[0] == "character"):
		state = c.setNames(strings.Trim(words[min(len(words)-1, 1)], "'\""))
	case len(words) > 0 && (words[0] == "transaction" || len(words) > 1 && words[1] == "transaction"):
	default:
		for _, assignment := range splitTopLevel(text) {
			state = append(state, c.assign(assignment)...)
		}
	}
	c.ok(0, state)
}

func (c *session) setNames(charset string) (state []byte) {
	for _, name := range []string{"character_set_client", "character_set_connection", "character_set_results"} {
		state = append(state, c.changed(name, charset)...)
	}
	return append(state, c.changed("collation_connection", charset+"_general_ci")...)
}

// assign carries out one "name = value" and returns its report.
func (c *session) assign(assignment string) (state []byte) {
	name, v, ok := strings.Cut(assignment, "=")
	name = strings.ToLower(strings.TrimRight(name, " :"))
	if !ok || strings.HasPrefix(name, "@") && !strings.HasPrefix(name, "@@") {
		return nil
	}
	for _, scope := range []string{"@@", "session ", "local ", "session.", "local."} {
		name = strings.TrimPrefix(name, scope)
	}
	if strings.HasPrefix(name, "global") {
		return nil
	}
	v = c.assigned(strings.Trim(name, "`"), strings.TrimSpace(v))
	switch name {
	case "autocommit":
		return c.setAutocommit(v)
	case "session_track_gtids":
		c.trackGTID = strings.EqualFold(v, "OWN_GTID")
		return nil
	case "session_track_system_variables":
		c.tracks = "," + strings.ToLower(v) + ","
		if c.server.opt.Flavour == MariaDB {
			c.trackGTID = c.tracksVariable("last_gtid")
		}
		return nil
	}
	return c.changed(name, v)
}

// assigned is the value that the right side of an assignment stands for.
func (c *session) assigned(name, v string) string {
	if strings.EqualFold(v, "default") {
		v = "@@" + name
	}
	if evaluated, ok := c.evaluate(v); ok {
		return evaluated.text
	}
	return v
}

func (c *session) setAutocommit(v string) []byte {
	if v == "0" || strings.EqualFold(v, "off") || strings.EqualFold(v, "false") {
		c.status &^= statusAutocommit
		return c.changed("autocommit", "OFF")
	}
	c.status |= statusAutocommit
	c.status &^= statusInTrans
	return c.changed("autocommit", "ON")
}

// changed reports a variable if the session tracks it.
func (c *session) changed(name, v string) []byte {
	if !c.tracksVariable(name) {
		return nil
	}
	return stateItem(trackSystemVariables, appendString(appendString(nil, name), v))
}

func (c *session) tracksVariable(name string) bool {
	if c.tracks == "" {
		return strings.Contains(","+trackedByDefault+",", ","+name+",")
	}
	return c.tracks == ",*," || strings.Contains(c.tracks, ","+name+",")
}

package conf

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ImportAtlas translates the text of an Atlas configuration (an ini file with
// the group [mysql-proxy]) to that of a Telamon configuration with the same
// meaning. notes says, one sentence each, what has no counterpart or means
// something else here. The error says why text is not such a file; whether
// the result is valid only Parse tells.
func ImportAtlas(text []byte) (toml []byte, notes []string, err error) {
	imp, err := importAtlas(text, "")
	if err != nil {
		return nil, nil, err
	}
	for _, p := range imp.notes {
		notes = append(notes, fmt.Sprintf("line %d: %s: %s", p.Line, p.Path, p.Msg))
	}
	return imp.toml(), notes, nil
}

// parseAny is Parse that also takes an Atlas configuration.
func parseAny(path string, text []byte, env func(string) (string, bool)) (*Config, *decoder) {
	if !isAtlas(text) {
		return parse(path, text, env, nil)
	}
	instance := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	imp, err := importAtlas(text, instance)
	if err != nil {
		return nil, &decoder{problems: []Problem{{File: path, Msg: err.Error()}}}
	}
	cfg, d := parse(path, imp.toml(), env, imp.lines)
	for _, p := range imp.notes {
		p.File = path
		d.problems = append(d.problems, p)
	}
	return cfg, d
}

const atlasGroup = "[mysql-proxy]"

// isAtlas tells an Atlas file by its first line that says anything. In a
// Telamon file that line could only be an unknown table.
func isAtlas(text []byte) bool {
	for line := range strings.Lines(string(text)) {
		if line = trimAtlas(line); line != "" {
			return line == atlasGroup
		}
	}
	return false
}

// trimAtlas removes what says nothing: blanks, a byte order mark, comments.
func trimAtlas(line string) string {
	line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
	if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
		return ""
	}
	return line
}

// option is one line of the Atlas file.
type option struct {
	name, value string
	line        int
}

// items splits a value at its commas.
func (o option) items() []string {
	var items []string
	for _, item := range strings.Split(o.value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// importer collects the translation, table by table.
type importer struct {
	options map[string]option
	used    map[string]bool
	tables  []tomlTable
	lines   map[string]int // key of the translation -> line of the Atlas file
	notes   []Problem      // Path is the Atlas option
}

type tomlTable struct {
	header string // "", "[proxy]", "[[users]]"
	path   string // "", "proxy", "users[0]"
	keys   []string
}

func importAtlas(text []byte, instance string) (*importer, error) {
	options, err := readAtlas(text)
	if err != nil {
		return nil, err
	}
	imp := &importer{options: map[string]option{}, used: map[string]bool{}, lines: map[string]int{}}
	for _, o := range options { // the last of several wins, as in GKeyFile
		imp.options[o.name] = o
	}
	imp.translate(instance)
	imp.leftOver()
	slices.SortStableFunc(imp.notes, func(a, b Problem) int { return a.Line - b.Line })
	return imp, nil
}

// readAtlas reads the lines of the one group Atlas looks at.
func readAtlas(text []byte) ([]option, error) {
	var options []option
	group, number := "", 0
	for line := range strings.Lines(string(text)) {
		number++
		line = trimAtlas(line)
		if line == "" {
			continue
		}
		if line[0] == '[' {
			group = line
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d is neither a [group], a comment nor option = value", number)
		}
		if group == atlasGroup {
			options = append(options, option{
				name:  strings.TrimSpace(name),
				value: strings.ToValidUTF8(strings.TrimSpace(value), "\ufffd"),
				line:  number,
			})
		}
	}
	if options == nil {
		return nil, errors.New("is not an Atlas configuration: there is nothing in the group " + atlasGroup)
	}
	return options, nil
}

// take returns an option that is set to something, and marks it as dealt with.
func (imp *importer) take(name string) (option, bool) {
	imp.used[name] = true
	o, ok := imp.options[name]
	return o, ok && o.value != ""
}

func (imp *importer) note(o option, format string, args ...any) {
	imp.notes = append(imp.notes, Problem{Path: o.name, Line: o.line, Msg: fmt.Sprintf(format, args...), Warning: true})
}

// table starts the next table of the translation. Entries of lists have an
// index of 0 or more.
func (imp *importer) table(name string, index int) {
	t := tomlTable{header: "[" + name + "]", path: name}
	switch {
	case name == "":
		t.header = ""
	case index >= 0:
		t = tomlTable{header: "[[" + name + "]]", path: entry(name, index)}
	}
	imp.tables = append(imp.tables, t)
}

// set adds KEY = VALUE, with the value already spelled as TOML, to the table.
func (imp *importer) set(key, value string, from option) {
	t := &imp.tables[len(imp.tables)-1]
	t.keys = append(t.keys, key+" = "+value)
	imp.lines[join(t.path, key)] = from.line
	if _, ok := imp.lines[t.path]; !ok {
		imp.lines[t.path] = from.line
	}
}

// copyText sets key to the text of an option if it is there.
func (imp *importer) copyText(key, name string) {
	if o, ok := imp.take(name); ok {
		imp.set(key, tomlString(o.value), o)
	}
}

func (imp *importer) translate(instance string) {
	imp.table("", -1)
	if o, ok := imp.take("instance"); ok {
		instance, imp.lines["instance"] = o.value, o.line
	}
	if instance != "" {
		imp.set("instance", tomlString(instance), imp.options["instance"])
	}
	imp.table("proxy", -1)
	imp.proxy()
	imp.table("admin", -1)
	if o, ok := imp.take("admin-address"); ok {
		imp.set("listen", tomlString(atlasListen(o.value)), o)
	}
	imp.copyText("username", "admin-username")
	if o, ok := imp.take("admin-password"); ok {
		imp.set("password", tomlString(literalSecret(o.value)), o)
	}
	imp.users()
	imp.backends()
	imp.table("log", -1)
	imp.log(instance)
}

func (imp *importer) proxy() {
	if o, ok := imp.take("proxy-address"); ok {
		imp.set("listen", tomlStrings([]string{atlasListen(o.value)}), o)
	}
	if o, ok := imp.take("wait-timeout"); ok {
		imp.set("wait_timeout", tomlString(o.value+"s"), o)
	}
	lb, hasLB := imp.take("lvs-ips")
	if o, ok := imp.take("client-ips"); ok {
		allow := o.items()
		if hasLB {
			allow = append(allow, lb.items()...)
			imp.note(lb, "was exempt from client-ips; it is therefore listed in proxy.allow as well")
		}
		imp.set("allow", tomlStrings(allow), o)
	}
	if hasLB {
		imp.set("lb_ips", tomlStrings(lb.items()), lb)
	}
}

func (imp *importer) users() {
	pwds, _ := imp.take("pwds")
	index := 0
	for i, item := range pwds.items() {
		// Base64 has no colon, a user name might.
		colon := strings.LastIndexByte(item, ':')
		if colon < 0 {
			imp.note(pwds, "entry %d is not user:password and is left out", i+1) // it may be a password
			continue
		}
		imp.table("users", index)
		imp.set("name", tomlString(item[:colon]), pwds)
		imp.set("password", tomlString("atlas:"+item[colon+1:]), pwds)
		index++
	}
	if index > 0 {
		imp.note(pwds, "atlas: passwords can be read by whoever reads the file; file:PATH keeps them apart")
	}
}

// backends lists the masters, then the slaves, as Atlas numbers them.
func (imp *importer) backends() {
	rw, ok := imp.take("proxy-backend-addresses")
	if !ok {
		rw = option{name: "proxy-backend-addresses", value: "127.0.0.1:3306"} // Atlas's default
	}
	ro, _ := imp.take("proxy-read-only-backend-addresses")
	limit, limited := imp.take("max_conn_for_a_backend")

	masters := map[string]bool{}
	index := 0
	add := func(o option, address, role, weight string) {
		imp.table("backends", index)
		imp.set("address", tomlString(address), o)
		imp.set("role", tomlString(role), o)
		if weight != "" {
			imp.set("weight", weight, o)
		}
		if limited && limit.value != "0" {
			imp.set("max_connections", tomlInteger(limit.value), limit)
		}
		index++
	}
	slaves := map[string]string{} // address -> weight
	for _, item := range ro.items() {
		address, weight := atlasBackend(item)
		slaves[address] = weight
	}
	for _, item := range rw.items() {
		address, _ := atlasBackend(item)
		masters[address] = true
		// A server listed on both sides is one backend that also serves reads.
		add(rw, address, RolePrimary, slaves[address])
	}
	if len(masters) > 1 {
		imp.note(rw, "Atlas sends all writes to the first of several masters that is up; make sure that only one of them takes writes")
	}
	for _, item := range ro.items() {
		if address, weight := atlasBackend(item); !masters[address] {
			add(ro, address, RoleReplica, weight)
		}
	}
}

func (imp *importer) log(instance string) {
	if o, ok := imp.take("log-level"); ok {
		levels := map[string]string{"critical": "error", "warning": "warn", "message": "info"}
		level := o.value
		if l, ok := levels[level]; ok {
			level = l
		}
		imp.set("level", tomlString(level), o)
	}
	if o, ok := imp.take("log-path"); ok {
		if instance == "" {
			instance = Default().Instance
		}
		imp.set("path", tomlString(filepath.Join(o.value, instance+".log")), o)
	}
	slow, hasSlow := imp.take("sql-log-slow")
	o, ok := imp.take("sql-log")
	if !ok || strings.EqualFold(o.value, "OFF") {
		return
	}
	mode := "on"
	if hasSlow && slow.value != "0" {
		mode = "slow"
		imp.set("sql_slow", tomlString(slow.value+"ms"), slow)
	}
	imp.set("sql", tomlString(mode), o)
}

// withoutCounterpart says why an option of Atlas is left out.
var withoutCounterpart = map[string]string{
	"daemon":         "is left out: Telamon runs in the foreground, under systemd",
	"keepalive":      "is left out: systemd restarts Telamon (Restart=always)",
	"event-threads":  "is left out: Telamon uses all CPUs (GOMAXPROCS limits them)",
	"charset":        "is left out: each client's own character set is used",
	"user":           "is left out: User= of the systemd unit",
	"max-open-files": "is left out: LimitNOFILE= of the systemd unit",
}

// inherited options of MySQL-Proxy and old Atlas versions that did nothing, or
// nothing that exists here.
var inherited = []string{
	"admin-lua-script", "basedir", "log-backtrace-on-crash", "log-use-syslog", "lua-cpath", "lua-path",
	"online",
	"min-idle-connections", "no-proxy", "plugin-dir", "plugins", "proxy-fix-bug-25371", "proxy-lua-script",
	"proxy-pool-no-change-user", "proxy-skip-profiling", "verbose-shutdown",
}

// leftOver notes every option that translate has not asked for.
func (imp *importer) leftOver() {
	for name, o := range imp.options {
		switch {
		case imp.used[name] || o.value == "":
		case name == "tables":
			imp.notes = append(imp.notes, Problem{Path: name, Line: o.line, Msg: "sub-tables are not supported: statements would name tables that do not exist"})
		case withoutCounterpart[name] != "":
			imp.note(o, "%s", withoutCounterpart[name])
		case slices.Contains(inherited, name):
			imp.note(o, "is left out: it has no meaning here")
		default:
			imp.note(o, "is left out: it is not an option of Atlas")
		}
	}
}

// toml writes the translation; tables without keys are left out.
func (imp *importer) toml() []byte {
	var b strings.Builder
	for _, t := range imp.tables {
		if len(t.keys) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		if t.header != "" {
			b.WriteString(t.header + "\n")
		}
		b.WriteString(strings.Join(t.keys, "\n") + "\n")
	}
	return []byte(b.String())
}

// atlasBackend splits ADDRESS@WEIGHT. Without a weight Atlas's is 1; without
// a port MySQL-Proxy's is 3306; a path is a socket.
func atlasBackend(item string) (address, weight string) {
	address, weight, ok := strings.Cut(item, "@")
	if !ok {
		weight = "1"
	}
	switch {
	case strings.HasPrefix(address, "/"):
		address = "unix:" + address
	case !strings.Contains(address, ":"):
		address += ":3306"
	}
	return address, tomlInteger(weight)
}

// atlasListen is an address to listen on; a path is a socket.
func atlasListen(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix:" + address
	}
	return address
}

// literalSecret protects a password that looks like a reference to one.
func literalSecret(text string) string {
	for _, scheme := range []string{"plain:", "env:", "file:", "atlas:", "enc:"} {
		if strings.HasPrefix(text, scheme) {
			return "plain:" + text
		}
	}
	return text
}

// tomlInteger leaves digits as they are. Other text becomes a string, so that
// the loader reports it with the line it is on.
func tomlInteger(text string) string {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	return tomlString(text)
}

// tomlString writes a TOML basic string. text is valid UTF-8.
func tomlString(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func tomlStrings(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = tomlString(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

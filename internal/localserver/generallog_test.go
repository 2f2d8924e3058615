package localserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseGeneralLog(t *testing.T) {
	tests := []struct {
		name, text string
		want       []LogEntry
	}{
		{
			name: "MariaDB leaves out the time within a second",
			text: "261120  6:52:32\t     4 Query\tSET GLOBAL gtid_slave_pos=''\n" +
				"\t\t     6 Connect\tapp@127.0.0.1 on app using TCP/IP\n" +
				"\t\t     6 Init DB\tother\n" +
				"\t\t    16 Close stmt\t\n" +
				"261120 16:52:33\t123456 Quit\t\n",
			want: []LogEntry{
				{Thread: 4, Command: "Query", Argument: "SET GLOBAL gtid_slave_pos=''"},
				{Thread: 6, Command: "Connect", Argument: "app@127.0.0.1 on app using TCP/IP"},
				{Thread: 6, Command: "Init DB", Argument: "other"},
				{Thread: 16, Command: "Close stmt"},
				{Thread: 123456, Command: "Quit"},
			},
		},
		{
			name: "MySQL writes the time on every line",
			text: "2026-11-20T06:52:36.240049Z\t   10 Query\tbegin\n" +
				"2026-11-20T06:52:36.241474+02:00\t   10 Prepare\tinsert into t values (?, ?)\n" +
				"2026-11-20T06:52:36.241515Z\t   10 Binlog Dump GTID\tLog: ''\n",
			want: []LogEntry{
				{Thread: 10, Command: "Query", Argument: "begin"},
				{Thread: 10, Command: "Prepare", Argument: "insert into t values (?, ?)"},
				{Thread: 10, Command: "Binlog Dump GTID", Argument: "Log: ''"},
			},
		},
		{
			name: "a statement goes on over lines, blank ones and ones that look nearly like an entry",
			text: "\t\t     6 Query\t/* multi\n   12 Query\tx */\n\n select\t3\n\t\t     6 Quit\t\n",
			want: []LogEntry{
				{Thread: 6, Command: "Query", Argument: "/* multi\n   12 Query\tx */\n\n select\t3"},
				{Thread: 6, Command: "Quit"},
			},
		},
		{name: "an empty log has no entries", want: []LogEntry{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, parseGeneralLog([]byte(tt.text))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConnectedUser(t *testing.T) {
	tests := []struct {
		name  string
		entry LogEntry
		want  string
		ok    bool
	}{
		{"a login names its account", LogEntry{Command: "Connect", Argument: "app@127.0.0.1 on app using TCP/IP"}, "app", true},
		{"a login without schema names its account", LogEntry{Command: "Connect", Argument: "app@127.0.0.1 on  using Socket"}, "app", true},
		{"a change of user names the new account", LogEntry{Command: "Change user", Argument: "dba@127.0.0.1 on app"}, "dba", true},
		{"a refusal names nobody", LogEntry{Command: "Connect", Argument: "Access denied for user 'app'@'127.0.0.1' (using password: YES)"}, "", false},
		{"a query names nobody", LogEntry{Command: "Query", Argument: "select 'a@b on c'"}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := connectedUser(tt.entry); ok != tt.ok || ok && got != tt.want {
				t.Errorf("got %q, %v", got, ok)
			}
		})
	}
}

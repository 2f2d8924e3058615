//go:build integration

package integration

import (
	"bufio"
	"crypto/rsa"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// attempt is a login as a raw client makes it, initially or by COM_CHANGE_USER.
type attempt struct {
	network        string // "" = tcp
	user, password string
	plugin         string // that the client names; "" = the greeting's
	silent         bool   // names it and sends no answer with it
	key            *rsa.PublicKey
	schema         string
	without        wire.Capability // of attemptCapabilities
	again          bool            // COM_CHANGE_USER from the application's account
	nulls          int             // stray NULs before the plugin's name
	encrypted      bool
	from           string // address to connect from
}

const attemptCapabilities = rawCapabilities | wire.PluginAuth | wire.PluginAuthLenenc | wire.ConnectAttrs

// make makes the attempt and returns what the server said after its greeting:
// sequence ids, lengths and contents. Masked are the salts and the public key.
func (a attempt) make(t testing.TB, addr string) []string {
	t.Helper()
	network := a.network
	if network == "" {
		network = "tcp"
	}
	d := net.Dialer{}
	if a.from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(a.from)}
	}
	nc, err := d.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(rawTimeout)); err != nil {
		t.Fatal(err)
	}
	c := &rawClient{t: t, nc: nc, r: bufio.NewReader(nc), w: nc}
	greeting := c.greeting()
	if a.again {
		first := attempt{network: a.network, encrypted: a.encrypted, user: localserver.AppUser, password: localserver.AppPassword}
		if said := first.log(c, greeting); len(said) == 0 || !strings.Contains(said[len(said)-1], "OK") {
			t.Fatalf("the login before COM_CHANGE_USER: %q", said)
		}
		c.said = nil
	}
	return a.log(c, greeting)
}

func (c *rawClient) greeting() *wire.HandshakeV10 {
	c.t.Helper()
	c.seq = 0
	b := c.payload()
	var g wire.HandshakeV10
	if b == nil {
		c.t.Fatal("no greeting")
	}
	if err := g.Parse(b); err != nil {
		c.t.Fatal(err)
	}
	return &g
}

// log logs in on a connection that has been greeted.
func (a attempt) log(c *rawClient, greeting *wire.HandshakeV10) []string {
	x := auth.ClientExchange{Password: a.password, Secure: a.network == "unix" || a.encrypted, ServerKey: a.key}
	plugin := a.plugin
	if plugin == "" {
		plugin = greeting.AuthPlugin
	}
	x.Start(plugin, greeting.Salt[:])
	response, _ := auth.Respond(plugin, a.password, greeting.Salt[:])
	if a.silent {
		response = nil
	}
	c.caps = (attemptCapabilities | wire.DeprecateEOF) &^ a.without
	seq := byte(1)
	var p []byte
	if a.again {
		seq = 0
		u := wire.ChangeUser{User: a.user, AuthResponse: response, Database: a.schema, Collation: 45, AuthPlugin: plugin}
		p = u.Append(nil, c.caps)
	} else {
		if a.schema != "" {
			c.caps |= wire.ConnectWithDB
		}
		h := wire.HandshakeResponse{
			Capabilities: c.caps, MaxPacket: 1 << 24, Collation: 45, User: a.user, AuthResponse: response,
			Database: a.schema, AuthPlugin: strings.Repeat("\x00", a.nulls) + plugin,
		}
		if a.encrypted {
			h.Capabilities |= wire.SSL
			c.encrypt(&h)
			seq = 2
		}
		p = h.Append(nil)
	}
	framed, _ := wire.AppendPacket(nil, seq, p)
	c.write(framed)
	c.seq = seq + 1
	c.exchange(&x)
	if !a.again {
		c.closesAfterErr()
	}
	return c.said
}

// encrypt starts TLS.
func (c *rawClient) encrypt(h *wire.HandshakeResponse) {
	c.t.Helper()
	request, _ := wire.AppendPacket(nil, 1, h.AppendSSLRequest(nil))
	c.write(request)
	secure := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	if err := secure.HandshakeContext(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.nc, c.r, c.w = secure, bufio.NewReader(secure), secure
}

// exchange goes on after the login has been sent, until it is decided.
func (c *rawClient) exchange(x *auth.ClientExchange) {
	for {
		b := c.payload()
		if b == nil {
			return
		}
		c.noteAuth(b)
		action, reply, err := x.Next(b)
		switch {
		case err != nil:
			c.note("client: %v", err)
			return
		case action == auth.Send:
			framed, _ := wire.AppendPacket(nil, c.seq, reply)
			c.write(framed)
			c.seq = framed[3] + 1
		case action == auth.Done:
			return
		}
	}
}

// closesAfterErr expects the end of a connection that was not let in. MariaDB
// goes on after a COM_CHANGE_USER that failed, see MINEFIELD H22.
func (c *rawClient) closesAfterErr() {
	if n := len(c.said); n > 0 && strings.Contains(c.said[n-1], " ERR ") {
		c.closes()
	}
}

// noteAuth notes a packet of the authentication phase.
func (c *rawClient) noteAuth(b []byte) {
	switch {
	case b[0] == 0xfe:
		plugin, salt, _ := auth.ParseSwitchRequest(b)
		c.note("< %d switch to %s, %d bytes, salt of %d", c.seq-1, plugin, len(b), len(salt))
	case b[0] == 0x01 && len(b) > 2:
		c.note("< %d %d bytes beginning with %q", c.seq-1, len(b), b[:27])
	case b[0] == 0x01:
		c.note("< %d more data %x", c.seq-1, b[1:])
	case b[0] == 0x00 && len(b) > 7:
		// The proof for clients of MariaDB 11.4, which older servers do not have.
		c.end(b[:7])
	default:
		c.end(b)
	}
}

// createAuthAccounts creates the accounts of these cases: one per plugin of the
// flavour, with the password "secret", one of which Telamon is to know the hash
// alone, and one without a password. It returns what Telamon has to know.
func createAuthAccounts(t *testing.T, c *localserver.Cluster) []localproxy.User {
	t.Helper()
	how := map[string]string{
		"h_sha2":   "WITH caching_sha2_password BY 'secret'",
		"h_hashed": "WITH caching_sha2_password BY 'secret'",
	}
	if c.Primary.Flavour() == localserver.MariaDB {
		how = map[string]string{
			"h_native":  "BY 'secret'",
			"h_hashed":  "BY 'secret'",
			"h_ed25519": "VIA ed25519 USING PASSWORD('secret')",
		}
	}
	how["h_empty"] = "BY ''"
	for name, identified := range how {
		createAccount(t, c, name, identified)
	}
	var users []localproxy.User
	for _, name := range slices.Sorted(maps.Keys(how)) {
		u := localproxy.User{Name: name, Password: "secret"}
		switch name {
		case "h_empty":
			u.Password = ""
		case "h_ed25519":
			u.Lines = `plugin = "client_ed25519"`
		case "h_hashed":
			u.Password, u.Lines = "", fmt.Sprintf("password_hash = %q", passwordHash(t, c, name))
		}
		users = append(users, u)
	}
	return users
}

// passwordHash is the hash of an account as the configuration takes it.
func passwordHash(t *testing.T, c *localserver.Cluster, name string) string {
	t.Helper()
	hash, err := c.Primary.Value(t.Context(), "SELECT HEX(authentication_string) FROM mysql.user WHERE User = ? LIMIT 1", name)
	if err != nil {
		t.Fatal(err)
	}
	if c.Primary.Flavour() == localserver.MariaDB {
		text, _ := hex.DecodeString(hash)
		return string(text)
	}
	return "0x" + hash
}

// createAccount creates an account on all hosts, with the application's schema.
func createAccount(t testing.TB, c *localserver.Cluster, name, identified string) {
	t.Helper()
	harness.Exec(t, c,
		fmt.Sprintf("DROP USER IF EXISTS %s@'%%', %s@localhost", name, name),
		fmt.Sprintf("CREATE USER %s@'%%' IDENTIFIED %s", name, identified),
		fmt.Sprintf("CREATE USER %s@localhost IDENTIFIED %s", name, identified),
		fmt.Sprintf("GRANT ALL ON %s.* TO %s@'%%', %s@localhost", localserver.AppSchema, name, name))
}

// TestAuthenticationMatrix is MINEFIELD H12 with H11, H14, H19 and H21: whatever
// a client names, offers and does, the conversation is the server's own.
func TestAuthenticationMatrix(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		compareAttempts(t, c, harness.ProxyConfig(c), false)
	})
}

// TestAuthenticationMatrixEncrypted is the same over TLS.
func TestAuthenticationMatrixEncrypted(t *testing.T) {
	eachTLSFlavour(t, func(t *testing.T, r *tlsRig) {
		compareAttempts(t, r.c, r.config("preferred", "preferred"), true)
	})
}

func compareAttempts(t *testing.T, c *localserver.Cluster, cfg localproxy.Config, encrypted bool) {
	users := createAuthAccounts(t, c)
	cfg.Users = append(localproxy.DefaultUsers(), users...)
	p := suite.StartProxy(t, cfg)
	names := []string{unknownUser(t, c)}
	for _, u := range users { // the server has seen the passwords before, as Telamon has
		names = append(names, u.Name)
		if u.Name != "h_empty" {
			attempt{user: u.Name, password: "secret", encrypted: encrypted}.make(t, c.Primary.Addr())
			attempt{user: u.Name, password: "secret", plugin: auth.CachingSHA2, encrypted: encrypted}.make(t, p.Addr())
		}
	}
	groups := map[string][]attempt{}
	for _, user := range names {
		for _, a := range attemptsOf(user) {
			group := a.user + " " + a.plugin
			groups[group] = append(groups[group], a)
		}
	}
	harness.AtOnce(t, slices.Sorted(maps.Keys(groups)), func(t *testing.T, group string) {
		for _, a := range groups[group] {
			a.encrypted = encrypted
			direct, through := a.make(t, c.Primary.Addr()), a.make(t, p.Addr())
			if diff := cmp.Diff(direct, through); diff != "" {
				t.Errorf("H12 %+v\n- directly, + through the proxy:\n%s", a, diff)
			}
		}
		t.Logf("%d conversations", len(groups[group]))
	})
}

// attemptsOf are all combinations for one account, but for those that would only
// repeat that COM_CHANGE_USER does not look at what is sent with it: MariaDB
// takes a second to refuse one.
func attemptsOf(user string) (all []attempt) {
	for _, plugin := range []string{"", auth.NativePassword, auth.CachingSHA2, auth.Ed25519, auth.ClearPassword, "no_such_plugin"} {
		for _, password := range []string{"secret", "wrong", ""} {
			for _, again := range []bool{false, true} {
				for _, silent := range []bool{false, true} {
					if again && password != "secret" && (silent || plugin != "") {
						continue
					}
					all = append(all, attempt{user: user, password: password, plugin: plugin, again: again, silent: silent})
				}
			}
		}
	}
	for _, password := range []string{"secret", "wrong", ""} {
		all = append(all, attempt{user: user, password: password, plugin: auth.NativePassword, without: wire.PluginAuth | wire.PluginAuthLenenc})
	}
	return all
}

// unknownUser is a name that nobody has. MySQL asks for one plugin or another,
// by the name, when there is no such account; here it is the one that accounts
// have.
func unknownUser(t *testing.T, c *localserver.Cluster) string {
	for i := range 20 {
		name := fmt.Sprintf("h_nobody%d", i)
		said := attempt{user: name, password: "x"}.make(t, c.Primary.Addr())
		if !strings.Contains(strings.Join(said, ""), "switch") {
			return name
		}
	}
	t.Fatal("all names are asked for another plugin")
	return ""
}

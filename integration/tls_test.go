//go:build integration

package integration

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/certs"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

// tlsRig is a primary with a replica that encrypt, and certificates for all.
type tlsRig struct {
	c         *localserver.Cluster
	authority *certs.Pair
	dir       string // ca.pem, proxy.pem, client.pem, each pair with its -key.pem
}

func newTLSRig(t *testing.T, flavour localserver.Flavour) *tlsRig {
	t.Helper()
	authority, err := certs.NewAuthority(certs.Request{Name: "authority of the tests"})
	if err != nil {
		t.Fatal(err)
	}
	r := &tlsRig{authority: authority, dir: t.TempDir()}
	r.write(t, "ca.pem", authority.CertPEM())
	r.issue(t, "proxy", "127.0.0.1")
	r.issue(t, "client")
	cert, key := r.issue(t, "server", "127.0.0.1")
	r.c, err = localserver.StartCluster(t.Context(), localserver.ClusterOptions{
		Flavour: flavour, Replicas: 1, TLS: &localserver.TLS{Cert: cert, Key: key, CA: authority.CertPEM()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.c.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *tlsRig) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a new certificate and its key.
func (r *tlsRig) issue(t *testing.T, name string, hosts ...string) (cert, key []byte) {
	t.Helper()
	pair, err := r.authority.Issue(certs.Request{Name: name, Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	if key, err = pair.KeyPEM(); err != nil {
		t.Fatal(err)
	}
	r.write(t, name+".pem", pair.CertPEM())
	r.write(t, name+"-key.pem", key)
	return pair.CertPEM(), key
}

// config is a proxy's, with modes towards clients and servers.
func (r *tlsRig) config(client, server string) localproxy.Config {
	cfg := harness.ProxyConfig(r.c)
	for i := range cfg.Backends {
		cfg.Backends[i].Settings = r.backend(server)
	}
	cfg.Settings["proxy.tls"] = fmt.Sprintf("mode = %q\ncert = \"%s/proxy.pem\"\nkey = \"%s/proxy-key.pem\"\nca = \"%s/ca.pem\"", client, r.dir, r.dir, r.dir)
	return cfg
}

func (r *tlsRig) backend(mode string) string {
	text := fmt.Sprintf("[backends.tls]\nmode = %q\ncert = \"%s/client.pem\"\nkey = \"%s/client-key.pem\"", mode, r.dir, r.dir)
	if strings.HasPrefix(mode, "verify") {
		text += fmt.Sprintf("\nca = \"%s/ca.pem\"", r.dir)
	}
	return text
}

// driver registers a configuration of go-sql-driver that verifies the proxy and
// returns its parameter.
func (r *tlsRig) driver(t *testing.T, name string, change ...func(*tls.Config)) string {
	t.Helper()
	config := &tls.Config{RootCAs: r.authority.Pool(), ServerName: "127.0.0.1"}
	for _, f := range change {
		f(config)
	}
	name += "-" + r.c.Primary.Flavour().String() // names are the process's
	if err := mysql.RegisterTLSConfig(name, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mysql.DeregisterTLSConfig(name) })
	return "tls=" + name
}

func version(v uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MinVersion, c.MaxVersion = v, v }
}

// eachTLSFlavour runs f on both flavours, each with servers of its own that
// encrypt.
func eachTLSFlavour(t *testing.T, f func(t *testing.T, r *tlsRig)) {
	harness.InEachFlavour(t, func(t *testing.T, flavour localserver.Flavour) { f(t, newTLSRig(t, flavour)) })
}

func TestTLS(t *testing.T) {
	eachTLSFlavour(t, func(t *testing.T, r *tlsRig) {
		for _, server := range []string{"off", "preferred", "required", "verify_ca", "verify_identity"} {
			t.Run("servers "+server, func(t *testing.T) { r.testModes(t, server) })
		}
		t.Run("servers that demand it", r.testServersThatDemandIt)
		t.Run("H25 bytes in plain behind the request for TLS", r.testPlainBehindTheRequest)
		p := suite.StartProxy(t, r.config("preferred", "required"))
		r.demandTLS(t, p) // only now: the harness itself comes without
		t.Run("clients", func(t *testing.T) { r.testClients(t, p) })
		t.Run("large values", func(t *testing.T) { r.testLargeValues(t, p) })
		t.Run("the same answers as directly", func(t *testing.T) { r.testSameAnswers(t, p) })
		t.Run("console", func(t *testing.T) { r.testConsole(t, p) })
		t.Run("a reload under load", r.testReload)
	})
}

// demandTLS has a proxy refuse clients without TLS.
func (r *tlsRig) demandTLS(t *testing.T, p *localproxy.Proxy) {
	t.Helper()
	cfg := r.config("required", "required")
	cfg.Listen, cfg.Console, cfg.HTTP = p.Config().Listen, p.Config().Console, p.Config().HTTP
	reload(t, p, cfg)
	plain := harness.Open(t, p.DSN(localserver.AppUser, localserver.AppPassword, ""))
	plain.SetMaxIdleConns(0)
	harness.Eventually(t, 10*time.Second, func(ctx context.Context) error {
		var refusal *mysql.MySQLError
		if err := plain.PingContext(ctx); !errors.As(err, &refusal) || refusal.Number != 3159 {
			return fmt.Errorf("a client without TLS gets %v", err)
		}
		return nil
	})
}

// testModes has clients with and without TLS at a proxy that treats its servers
// in one way.
func (r *tlsRig) testModes(t *testing.T, server string) {
	p := suite.StartProxy(t, r.config("preferred", server))
	for _, client := range []struct {
		name   string
		params string
	}{
		{"a client without TLS", ""},
		{"a client with TLS 1.2", r.driver(t, "tls12", version(tls.VersionTLS12))},
		{"a client with TLS 1.3", r.driver(t, "tls13", version(tls.VersionTLS13))},
		{"a client with a certificate", r.driver(t, "certified", func(c *tls.Config) {
			pair, err := tls.LoadX509KeyPair(r.dir+"/client.pem", r.dir+"/client-key.pem")
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates = []tls.Certificate{pair}
		})},
	} {
		t.Run(client.name, func(t *testing.T) {
			conn := harness.Connect(t, p, client.params)
			for _, where := range []string{"", " FOR UPDATE"} { // a replica's, the primary's
				got, err := firstColumn(t.Context(), conn, "SELECT 'read'"+where, nil)
				if err != nil || got != "read" {
					t.Errorf("read%s: %q, %v", where, got, err)
				}
			}
			if used, want := serverTLSVersion(t, conn), map[bool]string{false: "TLSv1.3"}[server == "off"]; used != want {
				t.Errorf("the server is spoken to in %q, want %q", used, want)
			}
		})
	}
}

// serverTLSVersion is what the primary's end of a session's connection uses.
func serverTLSVersion(t *testing.T, conn *sql.Conn) string {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	defer conn.ExecContext(t.Context(), "ROLLBACK")
	var name, value string
	if err := conn.QueryRowContext(t.Context(), "SHOW SESSION STATUS LIKE 'Ssl_version'").Scan(&name, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// testServersThatDemandIt: an account that needs a certificate on servers that
// take nobody without TLS.
func (r *tlsRig) testServersThatDemandIt(t *testing.T) {
	alter := func(require string) {
		t.Helper()
		for _, host := range []string{"'%'", "localhost"} {
			harness.Exec(t, r.c, fmt.Sprintf("ALTER USER %s@%s REQUIRE %s", localserver.AppUser, host, require))
		}
	}
	servers := append([]*localserver.Server{r.c.Primary}, r.c.Replicas...)
	for _, s := range servers {
		if err := s.Exec(t.Context(), "SET GLOBAL require_secure_transport = ON"); err != nil {
			t.Fatal(err)
		}
	}
	alter("X509")
	defer func() {
		for _, s := range servers {
			if err := s.Exec(context.Background(), "SET GLOBAL require_secure_transport = OFF"); err != nil {
				t.Error(err)
			}
		}
		alter("NONE")
	}()
	p := suite.StartProxy(t, r.config("preferred", "required"))
	for _, params := range []string{"", r.driver(t, "demanded")} {
		conn := harness.Connect(t, p, params)
		if _, err := firstColumn(t.Context(), conn, "SELECT 1", nil); err != nil {
			t.Error(err)
		}
		if got := serverTLSVersion(t, conn); got != "TLSv1.3" {
			t.Errorf("the server is spoken to in %q", got)
		}
	}
	harness.Exec(t, r.c, "CREATE TABLE app.locked (id INT PRIMARY KEY)", "INSERT INTO app.locked VALUES (1)")
	victim, killer := harness.Connect(t, p), harness.Connect(t, p)
	const lock = "SELECT id FROM locked FOR UPDATE"
	for _, s := range []string{"BEGIN", lock} {
		if _, err := killer.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	var id int64
	if err := victim.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := victim.ExecContext(t.Context(), lock)
		done <- err
	}()
	harness.Eventually(t, 20*time.Second, func(ctx context.Context) error { // until it runs and is hit
		if _, err := killer.ExecContext(ctx, fmt.Sprintf("KILL QUERY %d", id)); err != nil {
			return err
		}
		select {
		case err := <-done:
			var killed *mysql.MySQLError
			if !errors.As(err, &killed) || killed.Number != 1317 {
				t.Errorf("the statement ended with %v", err)
			}
			return nil
		case <-time.After(50 * time.Millisecond):
			return errors.New("it runs on")
		}
	})
}

// testClients runs other people's clients, at a proxy that demands TLS.
func (r *tlsRig) testClients(t *testing.T, p *localproxy.Proxy) {
	host, port, _ := net.SplitHostPort(p.Addr())
	const insecure = "insecure transport are prohibited"
	login := []string{"--no-defaults", "-h" + host, "-P" + port, "-u" + localserver.AppUser, "-p" + localserver.AppPassword}
	query := []string{"-N", "-e", "SELECT 40+2"}
	command := func(name string, options ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), name, append(append(login[:len(login):len(login)], options...), query...)...)
	}
	mysqlClient := func(options ...string) *exec.Cmd {
		cmd, err := localserver.MySQLClient(r.dir, append(append(login[:len(login):len(login)], options...), query...)...)
		if err != nil {
			t.Skip(err)
		}
		return cmd
	}
	inRoot := "--ssl-ca=" + localserver.ClientFiles + "/ca.pem"
	python := func(arguments string) *exec.Cmd {
		script := fmt.Sprintf("import pymysql\nc = pymysql.connect(host=%q, port=%s, user=%q, password=%q%s)\ncur = c.cursor()\ncur.execute('SELECT 40+2')\nprint(cur.fetchone()[0])",
			host, port, localserver.AppUser, localserver.AppPassword, arguments)
		return exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", script)
	}
	for _, c := range []struct {
		name string
		cmd  func() *exec.Cmd
		want string
	}{
		{"mariadb, without TLS", func() *exec.Cmd { return command("mariadb", "--skip-ssl") }, insecure},
		{"mariadb", func() *exec.Cmd { return command("mariadb", "--ssl") }, "42"},
		{"mariadb, TLS 1.2", func() *exec.Cmd { return command("mariadb", "--ssl", "--tls-version=TLSv1.2") }, "42"},
		{"mariadb, verifying", func() *exec.Cmd {
			return command("mariadb", "--ssl-ca="+r.dir+"/ca.pem", "--ssl-verify-server-cert")
		}, "42"},
		{"mariadb, verifying with the wrong authority", func() *exec.Cmd {
			return command("mariadb", "--ssl-ca="+r.dir+"/client.pem", "--ssl-verify-server-cert")
		}, "ERROR 2026"},
		{"mariadb, with a certificate", func() *exec.Cmd {
			return command("mariadb", "--ssl-cert="+r.dir+"/client.pem", "--ssl-key="+r.dir+"/client-key.pem")
		}, "42"},
		{"mysql, without TLS", func() *exec.Cmd { return mysqlClient("--ssl-mode=DISABLED") }, insecure},
		{"mysql", func() *exec.Cmd { return mysqlClient() }, "42"},
		{"mysql, required", func() *exec.Cmd { return mysqlClient("--ssl-mode=REQUIRED") }, "42"},
		{"mysql, TLS 1.2", func() *exec.Cmd { return mysqlClient("--ssl-mode=REQUIRED", "--tls-version=TLSv1.2") }, "42"},
		{"mysql, verifying the authority", func() *exec.Cmd { return mysqlClient("--ssl-mode=VERIFY_CA", inRoot) }, "42"},
		{"mysql, verifying the host", func() *exec.Cmd { return mysqlClient("--ssl-mode=VERIFY_IDENTITY", inRoot) }, "42"},
		{"mysql, verifying with the wrong authority", func() *exec.Cmd {
			return mysqlClient("--ssl-mode=VERIFY_CA", "--ssl-ca="+localserver.ClientFiles+"/client.pem")
		}, "ERROR 2026"},
		{"mariadb, compressing", func() *exec.Cmd { return command("mariadb", "--ssl", "--compress") }, "42"},
		{"mysql, compressing", func() *exec.Cmd { return mysqlClient("--ssl-mode=REQUIRED", "--compression-algorithms=zlib") }, "42"},
		{"PyMySQL, without TLS", func() *exec.Cmd { return python("") }, insecure},
		{"PyMySQL", func() *exec.Cmd { return python(", ssl={}, ssl_verify_cert=False, ssl_ca='" + r.dir + "/ca.pem'") }, "42"},
		{"PyMySQL, verifying", func() *exec.Cmd {
			return python(", ssl_ca='" + r.dir + "/ca.pem', ssl_verify_cert=True, ssl_verify_identity=True")
		}, "42"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, _ := c.cmd().CombinedOutput()
			if strings.Contains(string(out), "No module named") {
				t.Skip("not installed: apt-get install python3-pymysql")
			}
			if got := strings.TrimSpace(string(out)); got != c.want && (c.want == "42" && !strings.HasSuffix(got, "\n42") || !strings.Contains(got, c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// testLargeValues also has compression above TLS on either side (MINEFIELD H31).
func (r *tlsRig) testLargeValues(t *testing.T, p *localproxy.Proxy) {
	params := []string{"maxAllowedPacket=67108864", r.driver(t, "large")}
	createClientsTable(t, r.c)
	direct := goDriverReport(t, harness.ConnectDirectly(t, r.c.Primary, params...))
	cfg := r.config("preferred", "required")
	for i := range cfg.Backends {
		cfg.Backends[i].Settings = "compression = \"zlib\"\n" + cfg.Backends[i].Settings
	}
	compressing := suite.StartProxy(t, cfg)
	for _, c := range []struct {
		name   string
		p      *localproxy.Proxy
		params []string
	}{
		{"nobody compresses", p, params},
		{"the client compresses", p, append(params, "compress=true")},
		{"both sides compress", compressing, append(params, "compress=true")},
	} {
		t.Run(c.name, func(t *testing.T) {
			createClientsTable(t, r.c)
			through := goDriverReport(t, harness.Connect(t, c.p, c.params...))
			if diff := cmp.Diff(direct, through); diff != "" {
				t.Errorf("- directly, + through the proxy:\n%s", diff)
			}
		})
	}
}

func (r *tlsRig) testSameAnswers(t *testing.T, p *localproxy.Proxy) {
	secure := r.driver(t, "same")
	for _, s := range diffScripts {
		if s.only != "" && s.only != r.c.Primary.Flavour().String() {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			createDiffTables(t, r.c)
			direct := transcript(t, harness.ConnectDirectly(t, r.c.Primary, s.params), s.script)
			createDiffTables(t, r.c)
			through := transcript(t, harness.Connect(t, p, s.params, secure), s.script)
			for i := range direct {
				if diff := cmp.Diff(strings.Split(direct[i], "\n"), strings.Split(through[i], "\n")); diff != "" {
					t.Errorf("%s\n- directly, + through the proxy:\n%s", s.script[i].sql, diff)
				}
			}
		})
	}
}

func (r *tlsRig) testConsole(t *testing.T, p *localproxy.Proxy) {
	dsn := fmt.Sprintf("%s:%s@tcp(%s)/?%s", localproxy.ConsoleUser, localproxy.ConsolePassword, p.Config().Console, "%s")
	rows, err := harness.Open(t, fmt.Sprintf(dsn, r.driver(t, "console"))).Query("SELECT * FROM backends")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Close(); err != nil || n != 2 {
		t.Errorf("%d backends, %v", n, err)
	}
	if _, err := harness.Open(t, fmt.Sprintf(dsn, "")).Query("SELECT * FROM backends"); err == nil || !strings.Contains(err.Error(), "insecure transport") {
		t.Errorf("without TLS: %v", err)
	}
}

// testReload changes certificates and modes while clients work, old ones and
// new ones. Nobody may see an error.
func (r *tlsRig) testReload(t *testing.T) {
	p := suite.StartProxy(t, r.config("preferred", "preferred"))
	secure := r.driver(t, "reload")
	harness.Exec(t, r.c, "CREATE TABLE IF NOT EXISTS app.reloads (id INT AUTO_INCREMENT PRIMARY KEY)")
	var statements atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	work := func(db *sql.DB) {
		wg.Go(func() {
			for ctx.Err() == nil {
				for _, sql := range []string{"INSERT INTO reloads VALUES ()", "SELECT MAX(id) FROM reloads"} {
					if _, err := db.ExecContext(t.Context(), sql); err != nil {
						t.Errorf("%s: %v", sql, err)
						return
					}
					statements.Add(1)
				}
			}
		})
	}
	for _, params := range []string{"", secure} {
		dsn := p.DSN(localserver.AppUser, localserver.AppPassword, localserver.AppSchema) + "?" + params
		work(harness.Open(t, dsn)) // stays
		newcomers := harness.Open(t, dsn)
		newcomers.SetMaxIdleConns(0)
		work(newcomers)
	}
	modes := []string{"required", "verify_identity", "off", "preferred", "verify_ca"}
	for i := range 15 {
		r.issue(t, "proxy", "127.0.0.1")
		from, before := p.LogSize(), statements.Load()
		next := r.config("preferred", modes[i%len(modes)])
		next.Listen, next.Console, next.HTTP = p.Config().Listen, p.Config().Console, p.Config().HTTP
		reload(t, p, next)
		harness.Eventually(t, 20*time.Second, func(context.Context) error {
			log, err := p.LogSince(from)
			if err != nil || !strings.Contains(log, "configuration reloaded") || statements.Load() < before+40 {
				return fmt.Errorf("%d statements since, log %q, %v", statements.Load()-before, log, err)
			}
			return nil
		})
	}
	stop()
	wg.Wait()
	t.Logf("%d statements during 15 reloads", statements.Load())

	t.Run("a key of another certificate is refused, with its line", func(t *testing.T) {
		from := p.LogSize()
		r.issue(t, "proxy", "127.0.0.1")
		cfg := p.Config()
		cfg.Settings["proxy.tls"] = strings.Replace(cfg.Settings["proxy.tls"], "proxy-key.pem", "client-key.pem", 1)
		reload(t, p, cfg)
		harness.Eventually(t, 5*time.Second, func(context.Context) error {
			log, err := p.LogSince(from)
			if err == nil && !strings.Contains(log, "proxy.tls.key: "+r.dir+"/client-key.pem: private key does not match public key") {
				err = fmt.Errorf("the log says only %q", log)
			}
			return err
		})
		if _, err := firstColumn(t.Context(), harness.Connect(t, p, secure), "SELECT 1", nil); err != nil {
			t.Errorf("a new client after it: %v", err)
		}
	})
}

// TestTLSThatTheServersLack demands of servers what they do not offer: clients
// and console are told why, and when it is over things go on.
func TestTLSThatTheServersLack(t *testing.T) {
	c := suite.Cluster(t, localserver.MariaDB)
	if has, err := c.Primary.Value(t.Context(), "SELECT @@have_ssl"); err != nil || has != "DISABLED" {
		t.Skipf("this server has a certificate by itself, which MariaDB 10.11 has not: have_ssl is %s, %v", has, err)
	}
	p := suite.StartProxy(t, harness.ProxyConfig(c))
	conn := harness.Connect(t, p)
	plain := p.Config()
	demanding := p.Config()
	demanding.Backends = append([]localproxy.Backend(nil), plain.Backends...)
	for i := range demanding.Backends {
		demanding.Backends[i].Settings = `tls = { mode = "required" }`
	}
	reload(t, p, demanding)
	harness.Eventually(t, 20*time.Second, func(ctx context.Context) error {
		_, err := harness.Open(t, p.DSN(localserver.AppUser, localserver.AppPassword, "")).ExecContext(ctx, "DO 1")
		if err == nil || !strings.Contains(err.Error(), "backends.tls.mode") || !strings.Contains(err.Error(), c.Primary.Addr()) {
			return fmt.Errorf("a client is told %v", err)
		}
		return nil
	})
	harness.Eventually(t, 20*time.Second, func(ctx context.Context) error {
		rows, err := p.Console(ctx, "SELECT * FROM backends_ext")
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row["state"] != "down" || !strings.Contains(row["reason"], "TLS: the server does not offer it, and backends.tls.mode demands it") {
				return fmt.Errorf("%s is %s: %s", row["address"], row["state"], row["reason"])
			}
		}
		return nil
	})
	reload(t, p, plain)
	for _, b := range plain.Backends {
		harness.AwaitState(t, p, b.Address, "up", 20*time.Second)
	}
	if _, err := firstColumn(t.Context(), conn, "SELECT 1", nil); err != nil {
		t.Errorf("who was there before: %v", err)
	}
}

// TestCasesOverTLS tells the raw cases about the packets themselves once more,
// clients and servers encrypted.
func TestCasesOverTLS(t *testing.T) {
	eachTLSFlavour(t, func(t *testing.T, r *tlsRig) {
		rig := newRawRigWith(t, r.c, r.config("preferred", "required"))
		rig.secure = &tls.Config{RootCAs: r.authority.Pool(), ServerName: "127.0.0.1"}
		for _, cases := range [][]rawCase{casesPSizes, casesPOrder, casesPLocalInfile} {
			for _, rc := range cases {
				if rc.only == "" || rc.only == r.c.Primary.Flavour().String() {
					t.Run(rc.id+" "+rc.title, func(t *testing.T) { rig.tell(t, rc) })
				}
			}
		}
	})
}

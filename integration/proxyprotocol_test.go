//go:build integration

package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/child"
	"github.com/telamondb/telamon/internal/localserver"
)

// clientFrom logs in from an address of this machine.
func clientFrom(local, address string, l login) (*plainClient, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	nc, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return loginPlain(nc, l)
}

// from is clientFrom for a test.
func from(t *testing.T, local, address string) *packedClient {
	t.Helper()
	c, err := clientFrom(local, address, login{schema: "-"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.nc.Close() })
	return &packedClient{c, t}
}

// startHAProxy starts HAProxy in front of the address, one port for each way to
// announce clients, and returns the ports' addresses.
func startHAProxy(t *testing.T, to string, ways ...string) []string {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed: apt-get install haproxy")
	}
	var config strings.Builder
	config.WriteString("defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n")
	var addresses []string
	for i, way := range ways {
		port, err := localserver.ReservePort()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(port.Release)
		addresses = append(addresses, port.Addr())
		fmt.Fprintf(&config, "listen l%d\n bind %s\n server s %s %s\n", i, port.Addr(), to, way)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := child.Start(exec.Command(program, "-db", "-f", file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	for end := time.Now().Add(clientPatience); ; {
		nc, err := net.Dial("tcp", addresses[len(addresses)-1])
		if err == nil {
			_ = nc.Close()
			return addresses
		}
		if !p.Running() || time.Now().After(end) {
			t.Fatalf("haproxy: %v, %v\n%s", p.Err(), err, config.String())
		}
	}
}

func TestH33BehindHAProxy(t *testing.T) {
	c := suite.Cluster(t, localserver.MariaDB)
	cfg := harness.ProxyConfig(c)
	cfg.Settings["proxy"] = `proxy_protocol_from = ["127.0.0.1"]` + "\n" + `allow = ["127.0.0.1", "127.0.0.2"]`
	p := suite.StartProxy(t, cfg)
	for i, address := range startHAProxy(t, p.Addr(), "send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn") {
		if _, err := clientFrom("127.0.0.3", address, login{}); errno(err) != 1130 || !strings.Contains(err.Error(), "127.0.0.3") {
			t.Errorf("way %d, a client that is not allowed: %v", i, err)
		}
		cl := from(t, "127.0.0.2", address)
		cl.want("SELECT 1", "1")
		rows, err := p.Console(t.Context(), "SHOW PROCESSLIST")
		if err != nil {
			t.Fatal(err)
		}
		if listed := fmt.Sprint(rows); !strings.Contains(listed, "127.0.0.2:") {
			t.Errorf("way %d: %s", i, listed)
		}
		if err := cl.quit(); err != nil {
			t.Error(err)
		}
	}
	t.Run("who may not announce", func(t *testing.T) {
		cfg.Settings["proxy"] = ""
		p := suite.StartProxy(t, cfg)
		for _, address := range startHAProxy(t, p.Addr(), "send-proxy", "send-proxy-v2") {
			_, err := clientFrom("127.0.0.2", address, login{})
			if errno(err) != 1043 || !strings.Contains(err.Error(), "proxy.proxy_protocol_from") {
				t.Errorf("%v", err)
			}
		}
	})
}

// MySQL has no PROXY protocol. MariaDB 10.11 takes the header from the networks
// it is told of, and takes connections without one from there as well.
func TestH34ServersAreToldTheClientsAddress(t *testing.T) {
	c := suite.Cluster(t, localserver.MariaDB)
	for _, s := range c.Servers() {
		if err := s.Exec(t.Context(), "SET GLOBAL proxy_protocol_networks = '127.0.0.0/8'"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Exec(context.Background(), "SET GLOBAL proxy_protocol_networks = ''"); err != nil {
				t.Error(err)
			}
		})
	}
	harness.Exec(t, c,
		"CREATE USER app@127.0.0.2 IDENTIFIED BY 'app'", "CREATE USER app@127.0.0.3 IDENTIFIED BY 'app'",
		"CREATE DATABASE told", "CREATE TABLE told.t (id INT)", "INSERT INTO told.t VALUES (1)", "GRANT SELECT ON told.* TO app@127.0.0.2")
	t.Cleanup(func() {
		if err := c.Primary.Exec(context.Background(), "DROP USER app@127.0.0.2, app@127.0.0.3", "DROP DATABASE told"); err != nil {
			t.Error(err)
		}
	})
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprintf("max_connections %d", limit), func(t *testing.T) {
			cfg := harness.ProxyConfig(c)
			for i := range cfg.Backends {
				cfg.Backends[i].Settings = "proxy_protocol = true"
				cfg.Backends[i].MaxConnections = limit
			}
			socket := filepath.Join(t.TempDir(), "w.sock")
			cfg.Settings["proxy"] = fmt.Sprintf("listen_write = [%q]\nproxy_protocol_from = [\"127.0.0.1\"]", "unix:"+socket)
			cfg.Settings["guard"] = "denied_functions = []"
			p := suite.StartProxy(t, cfg)
			one, two, other := from(t, "127.0.0.2", p.Addr()), from(t, "127.0.0.3", p.Addr()), from(t, "127.0.0.4", p.Addr())
			for range 5 {
				one.want("SELECT CURRENT_USER()", "app@127.0.0.2")
				one.want("SELECT id FROM told.t", "1")
				if _, err := one.ask("INSERT INTO told.t VALUES (2)"); errno(err) != 1142 {
					t.Fatal(err)
				}
				two.want("SELECT CURRENT_USER(), SUBSTRING_INDEX(USER(), ':', 1)", "app@127.0.0.3,app@127.0.0.3")
				if _, err := two.ask("SELECT id FROM told.t"); errno(err) != 1142 {
					t.Fatal(err)
				}
				other.want("SELECT CURRENT_USER(), SUBSTRING_INDEX(USER(), ':', 1)", "app@%,app@127.0.0.4")
			}
			t.Run("a client that was announced itself", func(t *testing.T) {
				cl := from(t, "127.0.0.2", startHAProxy(t, p.Addr(), "send-proxy-v2")[0])
				cl.want("SELECT CURRENT_USER()", "app@127.0.0.2")
			})
			t.Run("a client on a socket", func(t *testing.T) {
				nc, err := net.Dial("unix", socket)
				if err != nil {
					t.Fatal(err)
				}
				cl, err := loginPlain(nc, login{})
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				(&packedClient{cl, t}).want("SELECT CURRENT_USER(), SUBSTRING_INDEX(USER(), ':', 1)", "app@%,app@127.0.0.1")
			})
			t.Run("a statement of theirs can be killed", func(t *testing.T) {
				id := two.Greeting.ConnectionID
				done := make(chan error, 1)
				go func() {
					_, err := two.ask("SELECT SLEEP(100)")
					done <- err
				}()
				harness.Eventually(t, clientPatience, func(ctx context.Context) error {
					if _, err := p.Console(ctx, fmt.Sprintf("KILL QUERY %d", id)); err != nil {
						return err
					}
					select {
					case err := <-done:
						if errno(err) != 1317 {
							t.Error(err)
						}
						return nil
					default:
						return fmt.Errorf("still running")
					}
				})
			})
		})
	}
}

//go:build integration

package monitor

import (
	"testing"

	"github.com/telamondb/telamon/internal/localserver"
)

// Both flavours keep the GTIDs they have when they stop giving any.
func TestGTIDsOfAServerThatGivesNoneAtPresentAreNoPosition(t *testing.T) {
	for flavour, without := range map[localserver.Flavour][][]string{
		localserver.MariaDB: {{"--skip-log-bin"}},
		localserver.MySQL: {{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}, {"--gtid-mode=OFF_PERMISSIVE"},
			{"--skip-log-bin", "--log-replica-updates=OFF"}},
	} {
		t.Run(flavour.String(), func(t *testing.T) {
			if err := localserver.Available(flavour); err != nil {
				t.Skip(err)
			}
			s, err := localserver.Start(t.Context(), localserver.Options{Flavour: flavour})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			kept := "@@GLOBAL.gtid_executed"
			write := []string{"CREATE DATABASE gtids"}
			if flavour == localserver.MariaDB {
				kept = "@@GLOBAL.gtid_current_pos"
				write = append(write, "SET GLOBAL gtid_slave_pos = '0-7-7000'")
			}
			if err := s.Exec(t.Context(), write...); err != nil {
				t.Fatal(err)
			}
			position := func() string {
				t.Helper()
				p := NewSQLProber(server(t, s.Addr()))
				defer p.Close()
				obs := p.Probe(t.Context(), labConfig())
				if !obs.Identified || obs.Identity == "" {
					t.Fatalf("%+v", obs)
				}
				return obs.GTID
			}
			if position() == "" {
				t.Error("there is no position although writes have GTIDs")
			}
			for _, args := range without {
				if err := s.Restart(t.Context(), args...); err != nil {
					t.Fatal(err)
				}
				if v, err := s.Value(t.Context(), "SELECT "+kept); err != nil || v == "" {
					t.Fatalf("%v: it has kept %q, %v", args, v, err)
				}
				if got := position(); got != "" {
					t.Errorf("%v: the position is %q", args, got)
				}
			}
		})
	}
}

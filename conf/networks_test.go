package conf

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cmpPrefix lets cmp compare networks.
var cmpPrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func mustNetworks(texts ...string) Networks {
	var n Networks
	for _, text := range texts {
		n = append(n, netip.MustParsePrefix(text))
	}
	return n
}

func TestNetworksMeanExactlyWhatTheySay(t *testing.T) {
	tests := []struct {
		name, text, want string
		in, out          []string
	}{
		{
			"three numbers of Atlas are a /24, and no longer prefix of digits",
			"192.168.1", "192.168.1.0/24",
			[]string{"192.168.1.0", "192.168.1.255", "::ffff:192.168.1.7"},
			[]string{"192.168.10.1", "192.168.11.1", "192.168.0.255", "192.168.2.0"},
		},
		{
			"two numbers of Atlas are a /16",
			"192.168", "192.168.0.0/16",
			[]string{"192.168.0.0", "192.168.255.255"},
			[]string{"192.169.0.0", "192.167.255.255"},
		},
		{
			"an address is itself",
			"10.0.0.1", "10.0.0.1",
			[]string{"10.0.0.1", "::ffff:10.0.0.1"},
			[]string{"10.0.0.10", "10.0.0.0"},
		},
		{
			"a mapped address is the IPv4 address",
			"::ffff:10.0.0.1", "10.0.0.1",
			[]string{"10.0.0.1", "::ffff:10.0.0.1"},
			[]string{"::1"},
		},
		{
			"a mapped network is the IPv4 network",
			"::ffff:10.0.0.0/104", "10.0.0.0/8",
			[]string{"10.255.0.1", "::ffff:10.1.1.1"},
			[]string{"11.0.0.1"},
		},
		{
			"an IPv6 network holds no IPv4 address",
			"::/0", "::/0",
			[]string{"::1", "fe80::1%eth0"},
			[]string{"127.0.0.1", "::ffff:127.0.0.1"},
		},
		{
			"the whole of IPv4",
			"0.0.0.0/0", "0.0.0.0/0",
			[]string{"1.2.3.4", "::ffff:1.2.3.4"},
			[]string{"::1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			prefix, err := parseNetwork(test.text)
			if err != nil {
				t.Fatal(err)
			}
			n := Networks{prefix}
			if got := n.String(); got != test.want {
				t.Errorf("%s is %s, want %s", test.text, got, test.want)
			}
			for _, addr := range test.in {
				if !n.Contains(netip.MustParseAddr(addr)) {
					t.Errorf("%s is not in %s", addr, test.text)
				}
			}
			for _, addr := range test.out {
				if n.Contains(netip.MustParseAddr(addr)) {
					t.Errorf("%s is in %s", addr, test.text)
				}
			}
		})
	}
}

func TestNoAddressIsInNoNetwork(t *testing.T) {
	if mustNetworks("0.0.0.0/0", "::/0").Contains(netip.Addr{}) {
		t.Error("the zero address, that of a UNIX socket, is in a network")
	}
}

func TestWhatIsNoNetworkIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "10", "10.", "10.0.", "10.0.0.", ".10.0", "10.0.0.0.0", "10.0.256", "10.0.01", "192.168.1.*",
		"10.0.0.0/33", "10.0.0.1/8", "10.0/16", "fe80::1%eth0", "localhost", "::ffff:0:0/95", "10.0.0.0/8/8", "-1.0.0",
	} {
		if prefix, err := parseNetwork(text); err == nil {
			t.Errorf("%q is accepted as %s", text, prefix)
		}
	}
}

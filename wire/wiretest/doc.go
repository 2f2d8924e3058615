// Package wiretest fakes the other end of a connection in tests: scripted
// servers and clients that speak the protocol, an in-memory connection, and
// connections that misbehave. It is imported by tests only.
//
// A fake server that lets anybody in and answers one statement:
//
//	srv := wiretest.NewServer(t, wiretest.Options{}, wiretest.Script(
//		wiretest.ExpectQuery("SELECT 1"),
//		wiretest.Rows([]string{"1"}, []string{"1"}),
//	))
//	conn, err := net.Dial("tcp", srv.Addr())
package wiretest

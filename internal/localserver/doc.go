// Package localserver runs real MariaDB and MySQL servers on 127.0.0.1 as child
// processes in temporary directories, alone or as a primary with replicas. It
// serves `telamon demo`, the integration suite and the benchmarks.
//
// Nothing of the machine's own database installation is used but the binaries:
// no option file, no service, no default socket or port.
package localserver

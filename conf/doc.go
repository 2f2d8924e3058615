// Package conf turns the text of a configuration file into a validated,
// immutable Config, and tells what differs between two of them.
//
// The package is imported by cmd/telamon alone. It opens the configuration
// file and the files its secrets name, and nothing else: it resolves no host
// name and talks to no server.
package conf

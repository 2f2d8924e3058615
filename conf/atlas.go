package conf

import "errors"

// ImportAtlas translates an Atlas configuration (an ini file with the group
// [mysql-proxy]) to the text of a Telamon configuration. notes says, one
// sentence each, what has no counterpart or means something else here.
func ImportAtlas(text []byte) (toml []byte, notes []string, err error) {
	return nil, nil, errors.New("not implemented")
}

package conf

import (
	"errors"
	"os"
)

// Load reads the file at path. env looks up environment variables, as
// os.LookupEnv does. It returns every problem it finds, in the order of the
// file, and a nil Config if one of them is fatal.
func Load(path string, env func(string) (string, bool)) (*Config, []Problem) {
	text, err := os.ReadFile(path)
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, []Problem{{File: path, Msg: err.Error()}}
	}
	return Parse(path, text, env)
}

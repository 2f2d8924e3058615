package conf

import (
	"crypto/des" // Atlas's scheme, to read what it wrote; it protects nothing
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxSecretFile bounds what is read for one secret.
const maxSecretFile = 64 << 10

// secretReader turns what the file says about a secret into the secret.
type secretReader struct {
	dir string // of the configuration file; relative paths start there
	env func(string) (string, bool)
}

// secretSource is how well the stored form of a secret keeps it.
type secretSource int

const (
	secretElsewhere secretSource = iota // the configuration file does not hold it
	secretReadable                      // whoever reads the file has the secret
	secretOpenFile                      // in a file of its own that everybody may read
)

// read resolves plain text, plain:TEXT, env:NAME, file:PATH, atlas:BASE64 and
// enc:BASE64. Errors never contain the secret.
func (r secretReader) read(text string) (Secret, secretSource, error) {
	scheme, rest, found := strings.Cut(text, ":")
	if !found {
		scheme = ""
	}
	switch scheme {
	case "plain":
		return NewSecret(rest), secretReadable, nil
	case "env":
		value, ok := r.env(rest)
		if !ok {
			return Secret{}, 0, fmt.Errorf("environment variable %s is not set", rest)
		}
		return NewSecret(value), secretElsewhere, nil
	case "file":
		return r.readFile(rest)
	case "atlas":
		value, err := decodeAtlas(rest)
		return NewSecret(value), secretReadable, err
	case "enc":
		return Secret{}, 0, errors.New("enc: is not supported by this version; use file:PATH or env:NAME")
	}
	return NewSecret(text), secretReadable, nil
}

// readFile reads a secret from a file and takes one newline off its end,
// which editors and echo leave there.
func (r secretReader) readFile(path string) (Secret, secretSource, error) {
	if path == "" {
		return Secret{}, 0, errors.New("file: names no file")
	}
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(r.dir, full)
	}
	// A FIFO or a device would block or never end.
	info, err := os.Stat(full)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file")
	}
	var text []byte
	if err == nil {
		text, err = readAtMost(full, maxSecretFile)
	}
	if err != nil {
		return Secret{}, 0, fmt.Errorf("secret in %s: %w", full, withoutPath(err))
	}
	source := secretElsewhere
	if info.Mode().Perm()&0o004 != 0 {
		source = secretOpenFile
	}
	value := strings.TrimSuffix(string(text), "\n")
	return NewSecret(strings.TrimSuffix(value, "\r")), source, nil
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("is longer than %d bytes", limit)
	}
	return text, err
}

// withoutPath leaves the reason of a file error; callers name the file.
func withoutPath(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// atlasKey is what Atlas's encrypt hands to DES; DES uses the first 8 bytes.
const atlasKey = "aCtZlHaUs"

var errNotAtlas = errors.New("atlas: is not followed by a password in the form of Atlas's encrypt")

// decodeAtlas undoes Atlas's encrypt: base64 of DES in ECB mode with PKCS
// padding under a key that is public. It hides a password from a glance only.
func decodeAtlas(text string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) == 0 || len(data)%des.BlockSize != 0 {
		return "", errNotAtlas
	}
	block, err := des.NewCipher([]byte(atlasKey)[:8])
	if err != nil {
		return "", err
	}
	for i := 0; i < len(data); i += des.BlockSize {
		block.Decrypt(data[i:], data[i:])
	}
	padding := int(data[len(data)-1])
	if padding < 1 || padding > des.BlockSize {
		return "", errNotAtlas
	}
	for _, b := range data[len(data)-padding:] {
		if int(b) != padding {
			return "", errNotAtlas
		}
	}
	return string(data[:len(data)-padding]), nil
}

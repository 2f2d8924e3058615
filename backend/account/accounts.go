package account

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire/auth"
)

// accountsSQL asks for the accounts that a user of this name may be let in as,
// those of nobody in particular among them, in a form that parseAccounts reads.
//
// MariaDB (10.4 and later) keeps accounts as JSON in mysql.global_priv. There,
// mysql.user is a view that shows one plugin of an account that has several
// (IDENTIFIED VIA a OR b).
func accountsSQL(f backend.Flavor, user string) string {
	// The name is written so that no sql_mode or character set matters.
	where := fmt.Sprintf("WHERE User IN (CONVERT(X'%x' USING utf8mb4), '')", user)
	if f == backend.MariaDB {
		return "SELECT CONCAT('[', COALESCE(GROUP_CONCAT(Priv), ''), ']') FROM mysql.global_priv " + where
	}
	return fmt.Sprintf("SELECT COALESCE(JSON_ARRAYAGG(JSON_OBJECT('plugin', plugin, 'authentication_string', "+
		"IF(plugin = '%s', authentication_string, ''))), '[]') FROM mysql.user ", auth.NativePassword) + where
}

// storedAccount is an account as MariaDB stores it. Of several plugins one
// stands before the others; it is empty in the list of all.
type storedAccount struct {
	storedPlugin
	Plugins []storedPlugin `json:"auth_or"`
	IsRole  bool           `json:"is_role"`
}

// storedPlugin is one way to log in.
type storedPlugin struct {
	Plugin string `json:"plugin"`
	Hash   string `json:"authentication_string"`
}

// parseAccounts returns the hashes of mysql_native_password in an answer to
// accountsSQL. all: there is no other way to log in.
func parseAccounts(answer string) (hashes [][sha1.Size]byte, all bool, err error) {
	var accounts []storedAccount
	if err := json.Unmarshal([]byte(answer), &accounts); err != nil {
		return nil, false, fmt.Errorf("the server's accounts: %w", err)
	}
	all = true
	for _, a := range accounts {
		for _, p := range a.plugins() {
			hash, ok := auth.ParseNativeHash(p.Hash)
			switch {
			case p.Plugin != auth.NativePassword:
				all = false
			case ok:
				hashes = append(hashes, hash)
			case p.Hash != "": // "" = no password
				all = false
			}
		}
	}
	return hashes, all, nil
}

// plugins returns the ways to log in to an account: none to a role.
func (a storedAccount) plugins() []storedPlugin {
	switch {
	case a.IsRole:
		return nil
	case len(a.Plugins) == 0:
		return []storedPlugin{a.storedPlugin}
	}
	for i, p := range a.Plugins {
		if p == (storedPlugin{}) {
			a.Plugins[i] = a.storedPlugin
		}
	}
	return a.Plugins
}

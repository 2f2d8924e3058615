package pool

import "github.com/telamondb/telamon/wire"

// noteLogin keeps what the server reports with the OK of a login. MariaDB 11.8
// does, 10.11 and MySQL 9.7 do not (measured): the variables that clients are told
// of by default.
func (c *Conn) noteLogin(changes []byte) {
	for ch := wire.NewChanges(changes); ch.Next(); {
		if v := ch.Change(); v.Type == wire.ChangeSystemVariable {
			c.loginVars = append(c.loginVars, Var{string(v.Name), string(v.Value)})
		}
	}
}

// AppendLoginReport appends what the server would report with the login of a
// client with a collation: what it has reported last, but for character sets.
func (p *Pool) AppendLoginReport(dst []byte, collation byte) []byte {
	vars := p.loginVars.Load()
	if vars == nil {
		return dst
	}
	charset, _ := wire.CollationByID(wire.HandshakeCollation(collation, true))
	for _, v := range *vars {
		switch v.Name {
		case "character_set_client", "character_set_connection", "character_set_results":
			v.Value = charset.Charset
		}
		dst = wire.AppendVariableChange(dst, v.Name, v.Value)
	}
	return dst
}

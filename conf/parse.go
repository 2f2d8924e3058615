package conf

// Parse is Load for a text already read; name stands for the file in
// problems. Neither text nor env is kept.
func Parse(name string, text []byte, env func(string) (string, bool)) (*Config, []Problem) {
	return nil, []Problem{{File: name, Msg: "not implemented"}}
}

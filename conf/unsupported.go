package conf

// unsupported lists the keys whose feature this version lacks, each with the
// only value they may have, spelled as in the file. Anything else is refused:
// a setting that is accepted and does nothing is worse than none. The list
// shrinks as features arrive; reference.toml and docs need no change then.
var unsupported = map[string]string{
	"ha.mode": `"off"`,
	"log.sql": `"off"`,
}

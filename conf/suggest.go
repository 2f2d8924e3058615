package conf

import (
	"fmt"
	"strings"
)

// unknownKey says what to do about a key that the table at path does not
// have: the most similar key of the table, or the tables that do have it.
func unknownKey(path, name string, known []field) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, f := range known {
		if d := editDistance(strings.ToLower(name), f.name); d < bestDistance {
			best, bestDistance = f.name, d
		}
	}
	if best != "" {
		return fmt.Sprintf("unknown key; did you mean %q?", best)
	}
	var homes []string
	for _, k := range keys {
		if home, ok := strings.CutSuffix(k.path, "."+name); ok && home != withoutIndexes(path) {
			homes = append(homes, "["+home+"]")
		}
	}
	if len(homes) > 0 {
		return "unknown key here; it belongs in " + strings.Join(homes, " or ")
	}
	return "unknown key"
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 { // no key is that long
		return max(len(a), len(b))
	}
	var prev2, prev, row [65]int
	for j := range row {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, row
	}
	return prev[len(b)]
}

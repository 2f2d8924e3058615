package conf

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// format spells a value that is not a table as the file would, secrets
// masked.
func format(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return strconv.Quote(formatDuration(value))
	case Secret:
		return strconv.Quote(value.String())
	case string:
		return strconv.Quote(value)
	case []string:
		return quoteList(value)
	case Networks:
		texts := make([]string, len(value))
		for i := range value {
			texts[i] = value[i : i+1].String()
		}
		return quoteList(texts)
	default:
		return fmt.Sprint(value)
	}
}

func quoteList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

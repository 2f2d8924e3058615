package router

// Reason is why a statement goes where it goes. The set is closed: it is what
// is counted per statement and shown by EXPLAIN ROUTE.
type Reason uint8

// The reasons.
const (
	ReasonRead  Reason = iota // a proven harmless read
	ReasonWrite               // changes data
	// NumReasons is the number of reasons, for arrays of counters.
	NumReasons
)

var reasons = [NumReasons]struct{ name, text string }{
	ReasonRead:  {"read", "The statement is proven to be a harmless read."},
	ReasonWrite: {"write", "The statement changes data or definitions."},
}

// String returns the stable name in snake_case.
func (r Reason) String() string {
	if r >= NumReasons {
		return "invalid"
	}
	return reasons[r].name
}

// Explain returns one sentence for humans.
func (r Reason) Explain() string {
	if r >= NumReasons {
		return ""
	}
	return reasons[r].text
}

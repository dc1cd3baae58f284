package engine

// Problem says what went wrong, and what the learner can do about it.
type Problem struct {
	Code   string // the code of a cause that package cause explains; empty for any other problem
	What   string
	Remedy string
}

// Error returns one line without a full stop.
func (p *Problem) Error() string { return p.What }

// Hint returns the remedy: one line, or nothing.
func (p *Problem) Hint() string { return p.Remedy }

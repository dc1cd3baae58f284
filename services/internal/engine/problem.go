package engine

// Problem is what went wrong, and what the learner can do about it.
type Problem struct {
	Code   string // of the cause that package cause explains; empty if it is none of them
	What   string
	Remedy string
}

// Error is one line without a full stop.
func (p *Problem) Error() string { return p.What }

// Hint is the remedy: one line, or nothing.
func (p *Problem) Hint() string { return p.Remedy }

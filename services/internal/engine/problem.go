package engine

// Problem is what went wrong, and what the learner can do about it.
type Problem struct{ What, Remedy string }

// Error is one line without a full stop.
func (p *Problem) Error() string { return p.What }

// Hint is the remedy: one line, or nothing.
func (p *Problem) Hint() string { return p.Remedy }

package statements

// declaring says how the declared users, or clients, are compared with the stored ones.
type declaring[T any] struct {
	add, change, remove string // the actions, as the audit log names them
	name                func(T) string
	declared            func(T) bool
	same                func(stored, declared T) bool
}

// difference is one step from what is stored to what is declared.
type difference[T any] struct {
	action   string
	from, to T // from is zero for what is new
}

// plan lists the steps that make what is stored be what is declared: removals first, so that
// a name that changed its case is not taken. What is not declared and stored otherwise stays.
func (d declaring[T]) plan(stored, declared []T) []difference[T] {
	var gone, rest []difference[T]

	byName := map[string]T{}
	for _, s := range stored {
		byName[d.name(s)] = s
	}

	wanted := map[string]bool{}
	for _, w := range declared {
		wanted[d.name(w)] = true
		old, ok := byName[d.name(w)]
		switch {
		case !ok:
			rest = append(rest, difference[T]{action: d.add, to: w})
		// What was made by a command, and has a declared name, becomes declared.
		case !d.declared(old) || !d.same(old, w):
			rest = append(rest, difference[T]{d.change, old, w})
		}
	}

	for _, s := range stored {
		if d.declared(s) && !wanted[d.name(s)] {
			gone = append(gone, difference[T]{d.remove, s, s})
		}
	}

	return append(gone, rest...)
}

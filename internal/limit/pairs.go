package limit

// pairs remembers accounts with sources: at least the last limit/2 that were added or found, and at most limit. It is
// not safe for concurrent use.
type pairs struct {
	limit  int
	recent map[key]struct{}
	older  map[key]struct{}
}

func newPairs(limit int) *pairs {
	return &pairs{limit: limit, recent: map[key]struct{}{}}
}

func (p *pairs) add(k key) {
	p.recent[k] = struct{}{}
	if len(p.recent) >= max(1, p.limit/2) {
		p.older = p.recent
		p.recent = map[key]struct{}{}
	}
}

func (p *pairs) has(k key) bool {
	if _, ok := p.recent[k]; ok {
		return true
	}

	_, ok := p.older[k]
	if ok {
		p.add(k)
	}

	return ok
}

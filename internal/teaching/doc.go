// Package teaching is what clients of teaching servers expect: wire shapes that are weaker than the default.
//
// Each is an adapter around a real endpoint: it rewrites the request, calls the endpoint, and rewrites the answer. No
// other package knows these shapes. What a request may do is decided by the endpoint and by internal/gate.
package teaching

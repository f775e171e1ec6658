// Package web is how Jeton speaks HTTP: routes with their access beside them, handlers
// that return errors, and the one place that knows which outcome is which status.
//
// It promises that an error which is not one of package jeton's outcomes reaches a
// caller as a bare 500 with the id of the request, and the operator in full; that
// bodies are bounded and strictly read; and that every refusal names its outcome in
// the header Jeton-Error. Who may ask is judged by internal/gate, and what is
// answered by the doors.
package web

package loglines

import "slices"

// Type is how a field is written in JSON.
type Type string

const (
	text    Type = "string"
	number  Type = "number"
	instant Type = "time, RFC 3339"
	texts   Type = "list of strings"
	truth   Type = "true or false"
	object  Type = "object"
)

// Field is a field of log lines. Its name means the same in every message.
type Field struct {
	Name  string
	Type  Type
	Means string // in Markdown, with ' for `
}

// Find returns the field of a name.
func Find(name string) (Field, bool) {
	i := slices.IndexFunc(Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return Fields[i], true
}

// Fields are all fields, by name.
var Fields = []Field{
	{"action", text, "what was done: an action of the audit log"},
	{"actor", text, "'user:NAME' or 'client:NAME' if it exists and is authenticated, else empty"},
	{"address", text, "host and port, or the origin of a URL"},
	{"after", text, "duration, such as '1.5s'"},
	{"by", text, "who did it, as in 'actor'"},
	{"bytes", number, "length of the body of the response"},
	{"certificate", text, "file of the certificate, or empty"},
	{"client", text, "name of the client"},
	{"count", number, "how many lines, events or writes the message is about"},
	{"database", text, "host, port and name of the database, without user and password"},
	{"details", object, "what the library for certificates reports of its step; names may change with its version"},
	{"duration_ms", number, "milliseconds from the headers of the request to the end of the response"},
	{"error", text, "what went wrong; may name users, files and addresses"},
	{"expires", instant, "when the certificate ends"},
	{"file", text, "path of the file"},
	{"fix", text, "what the operator may change"},
	{"for", text, "how long the server waits at most"},
	{"forgotten", truth, "whether the database no longer waits for the node"},
	{"forwarded_host", text, "header X-Forwarded-Host, as the sender wrote it"},
	{"fsync", text, "setting of PostgreSQL"},
	{"full_page_writes", text, "setting of PostgreSQL"},
	{"hashing_ms", number, "milliseconds in which the password was checked"},
	{"host", text, "host name; of a refused request as the sender wrote it"},
	{"hosts", texts, "host names of the certificate"},
	{"issuer", text, "URL of the authorization server"},
	{"key", text, "name of the signing key, or of the key of the configuration"},
	{"keys", number, "how many public keys"},
	{"kind", text, "kind of mail"},
	{"limit", text, "which limit is reached: 'total' or 'source'"},
	{"line", text, "what the process wrote"},
	{"listen", text, "host and port of the listener"},
	{"mail", text, "id of the mail; addresses are not logged"},
	{"method", text, "method of the request"},
	{"name", text, "name of the environment variable"},
	{"node", text, "id of the node of a shared database"},
	{"nodes", number, "how many nodes"},
	{"note", text, "what the process that hashes passwords reports of itself"},
	{"option", text, "the option, and what it weakens"},
	{"outcome", text, "'ok' or the code of the refusal, as in 'Jeton-Error'"},
	{"panic", text, "what the code panicked with"},
	{"path", text, "path of the request, cut and without secrets; of a reload the configuration file"},
	{"peer", text, "address of the other end of the connection"},
	{"pid", number, "id of the process"},
	{"reason", text, "why, for the operator; callers do not get it"},
	{"request", text, "which request to the other provider failed"},
	{"request_id", text, "for 'jeton explain', and in the response as 'X-Request-Id'"},
	{"returns_to", text, "origin to which browsers return"},
	{"route", text, "pattern of the route; empty without one"},
	{"schema", number, "number of the last step of the schema"},
	{"service", text, "name of the service; empty without one"},
	{"skipped", number, "how many were left out: requests since the last line, or keys of the source"},
	{"socket", text, "path of the control socket"},
	{"source", text, "address of the client, behind 'trusted_proxies' the forwarded one"},
	{"stack", text, "stack of the goroutine"},
	{"status", number, "status of the response; 0 if there was none"},
	{"step", text, "name of the schema step, or what the library for certificates did"},
	{"trace_id", text, "of the trace that was passed on, else empty"},
	{"try", number, "how often it was tried"},
	{"upstream", text, "host and port of the server behind the gateway, or name of the other provider"},
	{"url", text, "URL, without a query; of keys in a file its path"},
	{"user", text, "name of the user"},
	{"valid_from", instant, "when the certificate begins"},
	{"waited_ms", number, "milliseconds that the password waited before"},
	{"warning", text, "what is wrong with it"},
	{"what", text, "reason of the change"},
	{"work", text, "name of the background work"},
}

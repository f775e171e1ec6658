// Package config is the configuration of a Jeton server: one YAML file, checked as
// a whole, with every fault reported at its file, line and column.
//
// A server can be built from what Load returns. The tags of the structs say what
// each key is for and what it may be; the checks here are about several keys at
// once. Reading YAML is for package yamlread. Opening what the file names
// (certificates, keys, databases) is for package server.
//
// # Files
//
//	config.go                             the keys at the top: log, admin, hashing, throttle, audit, cache, limits
//	service.go, upstream.go               keys of a service, of its routes and of the server behind it
//	forward.go, redirect.go               keys of services behind another proxy; of the redirect from HTTP
//	headerrules.go                        keys of headers that are set and removed
//	issuer.go                             keys of the issuer: signing keys, sessions, look of the pages
//	clients.go, workload.go               keys of clients, of their token exchange; of workloads
//	provider.go                           keys of sign-in at other providers
//	users.go                              keys of users in the file, and of the users API
//	database.go, database_url.go          keys of the database; its URL, read as libpq does
//	acme.go, mail.go, tracing.go          keys of certificates by ACME, of mail, of tracing
//	load.go, files.go                     from a file to a Config, with the files that it names
//	env.go, datadir.go                    what operators set outside of the file
//	check.go                              the order of all checks, and passwords
//	check_service.go, check_route.go      rules of services, of their routes
//	check_paths.go                        paths by which a request could bypass a route
//	check_forward.go                      rules of services behind another proxy
//	check_upstream.go, check_headers.go   rules of servers behind, of headers
//	check_json.go                         rules of JSON that a route answers
//	check_addresses.go                    listeners, hosts, trusted proxies, TLS
//	check_redirect.go, check_acme.go      rules of the redirect, of certificates by ACME
//	check_clients.go                      rules of the issuer, and of clients
//	check_exchange.go, check_workload.go  rules of token exchange, of workloads
//	check_openid.go, check_pages.go       rules of relying parties, of the pages
//	check_signin.go, check_provider.go    rules of sign-in, there and at other providers
//	check_users.go, check_database.go     rules of users, of the database
//
// A new key is a field with its tags. The reference, the JSON Schema and the defaults follow from
// them; a rule about several keys is a method of checker.
package config

import (
	"reflect"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/web"
)

// Config is one configuration file.
type Config struct {
	DataDir        string    `yaml:"data_dir" absent:"the folder that the service manager or the user's account provides" doc:"Folder for everything the server writes. Relative to this file. --data-dir and JETON_DATA_DIR override it."`
	Database       *Database `yaml:"database" short:"url" absent:"SQLite in the data directory" doc:"PostgreSQL database shared by several nodes: its URL, or this mapping."`
	KeysSecretFile string    `yaml:"keys_secret_file" absent:"keys.secret in the data directory, created at the first start" doc:"File with the secret that encrypts signing keys in the database: the same on all nodes, mode 0600. Relative to this file."`
	Log            Log       `yaml:"log" doc:"Log messages, on standard error."`
	Admin          Admin     `yaml:"admin" doc:"Listener for health, readiness and metrics."`
	Hashing        Hashing   `yaml:"hashing" doc:"Limits on concurrent password checks."`
	Passwords      Passwords `yaml:"passwords" doc:"Rules for new passwords of users that are not declared here."`
	PersonalTokens Personal  `yaml:"personal_tokens" doc:"Limits on the tokens that users create."`
	Throttle       Throttle  `yaml:"throttle" doc:"Limits on guessing. Only failures count."`
	Tracing        *Tracing  `yaml:"tracing" absent:"off" doc:"Spans of requests for OpenTelemetry, exported by OTLP."`
	Audit          Audit     `yaml:"audit" doc:"The audit log of logins, refusals and changes."`
	Cache          Cache     `yaml:"cache" doc:"Limits on memory."`
	Limits         Limits    `yaml:"limits" doc:"Limits on connections and slow clients of services and of the authorization server."`
	Shutdown       Shutdown  `yaml:"shutdown" doc:"How the server stops."`
	TrustedProxies []Prefix  `yaml:"trusted_proxies" absent:"none" doc:"Addresses or CIDRs of proxies whose X-Forwarded-For, -Proto, -Host, -Port and -Prefix and X-Request-Id are trusted."`
	ACME           *ACME     `yaml:"acme" absent:"off" doc:"Certificate authority that issues and renews the certificates of the services and the issuer that have TLS and no tls section, for each of their host names."`
	Redirect       *Redirect `yaml:"redirect" short:"listen" absent:"off" doc:"Listener without TLS that sends browsers to the https:// address of the same host name: its address, or this mapping."`
	Forward        *Forward  `yaml:"forward" absent:"off" doc:"Listener that decides for other proxies (forward-auth). A service without listen, with the url that a proxy serves, is decided there."`
	HSTSMaxAge     Duration  `yaml:"hsts_max_age" default:"365d" min:"0s" max:"1095d" doc:"How long browsers remember to use TLS only (Strict-Transport-Security). Sent over TLS with a certificate that is not self-signed, and behind a trusted proxy that sends X-Forwarded-Proto: https. 0: not sent."`
	Users          []User    `yaml:"users" absent:"none" doc:"Users declared here. They can be changed only here."`
	Issuer         *Issuer   `yaml:"issuer" absent:"no tokens are issued" doc:"The authorization server."`
	Mail           *Mail     `yaml:"mail" absent:"no mail is sent" doc:"How users get mail: links to set a password, and notices of what changed."`
	Clients        []Client  `yaml:"clients" absent:"none" doc:"Clients (software) declared here. They can be changed only here."`
	Services       []Service `yaml:"services" absent:"none" doc:"What is protected. Each service has its own address, login and routes."`

	// Path is the file this came from, "" for the built-in default.
	Path string `yaml:"-"`
	// Warnings are faults that do not stop a server: the file is valid, and may not do what
	// its author wants.
	Warnings yamlread.Faults `yaml:"-"`
}

// Log configures the server's log.
type Log struct {
	Level    string `yaml:"level" env:"JETON_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" doc:"Minimum level to log."`
	Format   string `yaml:"format" env:"JETON_LOG_FORMAT" default:"json" enum:"json,text" doc:"Format of log messages."`
	Requests string `yaml:"requests" env:"JETON_LOG_REQUESTS" default:"off" enum:"off,refused,all" doc:"Requests of services and of the authorization server that get a line of level info each. Refused logins have a line of level warn in any case."`
	File     string `yaml:"requests_file" absent:"with the other messages" doc:"File for the lines of requests, in JSON whatever the format. Relative to the data directory. It is appended to, with mode 0640 if it is new. A reload opens it again: after a tool has renamed it, send SIGHUP."`
}

// What Log.Requests may be.
const (
	RequestsRefused = "refused"
	RequestsAll     = "all"
)

// Admin is the listener for operators' tools.
type Admin struct {
	Listen    string   `yaml:"listen" env:"JETON_ADMIN_LISTEN" default:"127.0.0.1:9180" doc:"Address and port, or 'off'. An address that other machines can reach needs allow."`
	Allow     []Prefix `yaml:"allow" absent:"none" doc:"Addresses or CIDRs of other machines whose requests are answered. This machine needs no entry."`
	Hosts     []string `yaml:"hosts" absent:"none" doc:"Host names that requests may have. Localhost, IP addresses and the host in listen need no entry."`
	TLS       *TLS     `yaml:"tls" absent:"plain HTTP" doc:"Certificate and key."`
	TokenFile string   `yaml:"token_file" absent:"none" doc:"File with a bearer token, at least 16 characters, which GET /metrics requires. Mode 0600 or 0640. Relative to this file."`

	token jeton.Secret
}

// Token returns the token that GET /metrics requires, or the zero value.
func (a Admin) Token() jeton.Secret { return a.token }

// Hashing limits the work of checking passwords.
type Hashing struct {
	Workers int `yaml:"workers" default:"0" min:"0" max:"64" doc:"Passwords hashed at the same time. 0: one for each processor."`
	Queue   int `yaml:"queue" default:"128" min:"1" max:"10000" doc:"Passwords that may wait. Further logins get 503 with Retry-After."`
}

// Personal limits personal tokens.
type Personal struct {
	MaxPerUser int `yaml:"max_per_user" default:"100" min:"1" max:"100000" doc:"Maximum number of personal tokens of one user that have not expired. Existing ones stay valid when it is lowered."`
}

// Passwords are the rules for new passwords.
type Passwords struct {
	MinLength int      `yaml:"min_length" env:"JETON_PASSWORDS_MIN_LENGTH" default:"15" min:"8" max:"64" doc:"Minimum number of characters of a new password. Less than 15 is for users who also prove a second factor elsewhere. Common passwords, and those made of names, are refused whatever their length."`
	Words     []string `yaml:"words" absent:"none" doc:"Words that attackers of this server try first, such as the names of the organisation and its products, of 3 characters or more. A new password has at least 8 characters besides these, the names of the user and those of the services."`
}

// Throttle limits guessing. Only failed logins count.
type Throttle struct {
	PairBurst    int      `yaml:"pair_burst" default:"10" min:"1" max:"1000000" doc:"Failed logins of one account from one source address before they are throttled. A browser that the user has signed in with has as many of its own then."`
	PairEvery    Duration `yaml:"pair_every" default:"90s" min:"1ns" doc:"Then one attempt is allowed in this time."`
	AccountBurst int      `yaml:"account_burst" default:"100" min:"1" max:"1000000" doc:"Failures of one account from all addresses and on all nodes before its passwords are throttled: wrong passwords, codes, recovery codes and responses of passkeys. Does not keep out a user at an address that this user has logged in from."`
	AccountEvery Duration `yaml:"account_every" default:"1m" min:"1ns" doc:"Then one attempt from other addresses is allowed in this time."`
	SourceBurst  int      `yaml:"source_burst" default:"60" min:"1" max:"1000000" doc:"Failed logins from one source address (IPv6: one /64) for all accounts before they are throttled. Does not keep out a user who has logged in from there."`
	SourceEvery  Duration `yaml:"source_every" default:"15s" min:"1ns" doc:"Then one attempt is allowed in this time."`
}

// Audit configures the audit log.
type Audit struct {
	Keep    Duration `yaml:"keep" default:"90d" min:"1ns" doc:"How long audit events are kept."`
	MaxSize int64    `yaml:"max_size" default:"1073741824" min:"1048576" doc:"About how many bytes the audit log may have in the database. The oldest refusals and requests over it are deleted first, changes and logins last."`
}

// Cache limits memory.
type Cache struct {
	Sessions int `yaml:"sessions" default:"200000" min:"1" max:"50000000" doc:"Maximum number of sessions in memory, and of tokens; others are read from the store when used. Takes about 50 bytes per session and 100 per user with a session."`
}

// Limits are on what clients may hold of the server.
type Limits struct {
	MaxConnections int      `yaml:"max_connections" default:"10000" min:"1" max:"10000000" doc:"Maximum number of open connections. Further ones are closed at once."`
	MaxPerSource   int      `yaml:"max_connections_per_source" default:"1000" min:"1" max:"10000000" doc:"Maximum number of open connections from one address (IPv6: one /64). Trusted proxies are exempt."`
	MinRate        int64    `yaml:"min_rate" default:"500" min:"0" max:"1000000000" doc:"Bytes a second that a client must send of a body and read of a response, on average, while the server waits for it. 0: any."`
	Behind         Duration `yaml:"behind" default:"30s" min:"1s" doc:"How long a client may be behind min_rate."`
}

// Pace returns the lowest rate of a client.
func (l Limits) Pace() web.Pace { return web.Pace{Rate: l.MinRate, Grace: l.Behind.Std()} }

// Shutdown limits stopping.
type Shutdown struct {
	Delay   Duration `yaml:"delay" default:"0s" doc:"How long readiness reports 'not ready' before listeners close, so that load balancers notice."`
	Timeout Duration `yaml:"timeout" default:"10s" doc:"How long requests in progress may take to finish."`
}

// DefaultCertificate is the certificate that a server makes, unless one is configured. Only it vouches for itself.
const DefaultCertificate = "pubkey.pem"

// TLS names a certificate.
type TLS struct {
	Cert string `yaml:"cert" default:"pubkey.pem" doc:"PEM certificate (chain). Relative to the data directory. The default file and its key are made if both are missing (self-signed, with every host name of the configuration) and renewed. A file of another name must exist."`
	Key  string `yaml:"key" default:"private.pem" doc:"PEM private key, mode 0600. Relative to the data directory."`

	// ACME is set where the section acme decides: cert and key are served until there is a certificate from there.
	ACME bool `yaml:"-"`
}

// The types of values that are more than text and numbers.
type (
	Duration = yamlread.Duration
	Prefix   = yamlread.Prefix
	Time     = yamlread.Time
)

// Schema returns the JSON Schema (2020-12) of a configuration file, for editors.
func Schema() ([]byte, error) {
	return yamlread.Schema(reflect.TypeFor[Config](), "Configuration of a Jeton server")
}

// Package config is the configuration of a Jeton server: one YAML file, read
// strictly into one struct, with every fault reported at its file, line and
// column together with the nearest thing that would have been right.
//
// It promises that what Load returns has been checked as a whole: a server can
// be built from it without asking again whether a value makes sense. It opens
// no listener, reads no certificate and knows no store; it leaves those to
// internal/server.
package config

import (
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"

	"go.yaml.in/yaml/v4"
)

// Config is one configuration file. The zero value of every field is closed or
// means the documented default; Load fills the defaults in.
type Config struct {
	DataDir        string    `yaml:"data_dir" doc:"Folder for everything the server writes. A relative path starts at this file. --data-dir and JETON_DATA_DIR win over it."`
	Database       *Database `yaml:"database" doc:"The PostgreSQL database that many nodes share: its URL, or a mapping. Absent: SQLite in the data folder. A URL may name several hosts of one database, with commas between, or a Unix socket, as in postgres:///NAME?host=/run/postgresql. Other parameters of it are user, port, application_name and those of TLS: sslmode (verify-full, unless every host is this machine), sslrootcert, sslcert and sslkey, whose relative paths start at this file."`
	KeysSecretFile string    `yaml:"keys_secret_file" doc:"File with the secret that signing keys are sealed with in the database: a copy of keys.secret that is the same on all nodes, mode 0600. A relative path starts at this file. Absent: keys.secret in the data folder, made at the first start."`
	Log            Log       `yaml:"log" doc:"What the server says about itself, on standard error."`
	Admin          Admin     `yaml:"admin" doc:"Listener for health, readiness and metrics."`
	Hashing        Hashing   `yaml:"hashing" doc:"How many passwords are checked at once, and how many may wait."`
	Throttle       Throttle  `yaml:"throttle" doc:"How fast passwords may be guessed."`
	Audit          Audit     `yaml:"audit" doc:"The record of logins, refusals and changes."`
	Cache          Cache     `yaml:"cache" doc:"What is kept in memory."`
	Shutdown       Shutdown  `yaml:"shutdown" doc:"How the server stops."`
	TrustedProxies []Prefix  `yaml:"trusted_proxies" doc:"Addresses (CIDR) of proxies whose X-Forwarded-For and X-Request-Id are believed. Empty: nobody's."`
	Users          []User    `yaml:"users" doc:"People declared here. They are changed only here."`
	Issuer         *Issuer   `yaml:"issuer" doc:"The authorization server. Absent: no tokens are issued."`
	Clients        []Client  `yaml:"clients" doc:"Software declared here. It is changed only here."`
	Services       []Service `yaml:"services" doc:"What is protected: each service has its own address, login and routes."`

	// Path is the file this came from, "" for the built-in default.
	Path string `yaml:"-"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" doc:"Least level that is written."`
	Format string `yaml:"format" enum:"json,text" doc:"json for machines, text for people."`
}

// Admin is the listener for operators' tools. It is bound to loopback.
type Admin struct {
	Listen string `yaml:"listen" doc:"Loopback address and port, or 'off'."`
}

// Hashing bounds the work of checking passwords.
type Hashing struct {
	Workers int `yaml:"workers" doc:"Passwords hashed at the same time. 0: one for each processor."`
	Queue   int `yaml:"queue" doc:"Passwords that may wait; more are answered 503 with Retry-After."`
}

// Throttle slows down guessing. Only failures count.
type Throttle struct {
	PairBurst    int      `yaml:"pair_burst" doc:"Failures of one account from one source address before it is slowed down."`
	PairEvery    Duration `yaml:"pair_every" doc:"After that, one attempt in this time."`
	AccountBurst int      `yaml:"account_burst" doc:"Failures of one account from everywhere before strangers are slowed down. Addresses that the owner has logged in from are not."`
	AccountEvery Duration `yaml:"account_every" doc:"After that, one attempt by a stranger in this time."`
	SourceBurst  int      `yaml:"source_burst" doc:"Failures from one source address (IPv6: one /64), whatever the account."`
	SourceEvery  Duration `yaml:"source_every" doc:"After that, one attempt in this time."`
}

// Audit keeps the record.
type Audit struct {
	Keep Duration `yaml:"keep" doc:"How long events are kept."`
}

// Cache bounds memory.
type Cache struct {
	Sessions int `yaml:"sessions" doc:"Sessions kept in memory, and as many tokens; the others are read from the store when they are used. Memory is taken as they come: about 50 bytes a session, and 100 for each user who has one."`
}

// Shutdown bounds stopping.
type Shutdown struct {
	Delay   Duration `yaml:"delay" doc:"How long readiness says no before listeners close, for load balancers to notice."`
	Timeout Duration `yaml:"timeout" doc:"How long requests in flight may take to end."`
}

// User is a declared person.
type User struct {
	Name             string   `yaml:"name" required:"true" doc:"Name to log in with."`
	PasswordHash     string   `yaml:"password_hash" doc:"As 'jeton hash-password' prints it."`
	PasswordHashFile string   `yaml:"password_hash_file" doc:"File that holds password_hash."`
	Groups           []string `yaml:"groups" doc:"Groups the person is in."`
	Disabled         bool     `yaml:"disabled" doc:"The person cannot log in and has no sessions."`
	Email            string   `yaml:"email" doc:"E-mail address. No two people have one that differs in case alone."`
	FirstName        string   `yaml:"first_name" doc:"First name."`
	LastName         string   `yaml:"last_name" doc:"Last name."`
}

// Service is one thing that is protected.
type Service struct {
	Name      string    `yaml:"name" required:"true" doc:"Name of the service; sessions and counts belong to it."`
	Listen    string    `yaml:"listen" required:"true" doc:"Address and port. Services may share one if each has a host."`
	Host      string    `yaml:"host" doc:"Host name that chooses this service on a shared address."`
	TLS       TLS       `yaml:"tls" doc:"Certificate and key; made in the data folder when they are not there."`
	PlainHTTP bool      `yaml:"plain_http" doc:"Serve without TLS. Named in the start-up log."`
	Login     Login     `yaml:"login" doc:"How people log in here."`
	Logout    string    `yaml:"logout" doc:"Path that ends the session (POST)."`
	Session   Session   `yaml:"session" doc:"Terms of a login."`
	Accept    []string  `yaml:"accept" doc:"What callers may prove themselves with: session, token, basic (name and password in every request). Absent: session where there is a login, token where there are tokens."`
	Tokens    *Tokens   `yaml:"tokens" doc:"Terms of access tokens for this service. Absent: it takes none."`
	Relogin   Relogin   `yaml:"relogin" doc:"When the same person may log in again."`
	Teaching  *Teaching `yaml:"teaching" doc:"What a teaching client of old needs. Each option is named in the start-up log."`
	UsersAPI  *UsersAPI `yaml:"users_api" doc:"The API of users, sessions and tokens, served here. Absent: it is not."`
	Routes    []Route   `yaml:"routes" doc:"What the service answers."`
}

// TLS names a certificate. Relative paths start at the data folder.
type TLS struct {
	Cert string `yaml:"cert" doc:"PEM certificate (chain)."`
	Key  string `yaml:"key" doc:"PEM private key, mode 0600."`
}

// Login is the door where a name and a password become a session.
type Login struct {
	Paths         []string `yaml:"paths" doc:"Paths that take POST with a name and a password."`
	UsernameField string   `yaml:"username_field" doc:"Field that holds the name."`
	PasswordField string   `yaml:"password_field" doc:"Field that holds the password."`
	Token         string   `yaml:"token" doc:"Path that takes GET with a name and a password (Basic) and answers with a signed token for them, as tokens says. A token does not open it."`
	Success       string   `yaml:"success" doc:"Text of a successful answer."`
	Allow         *Allow   `yaml:"allow" doc:"Who may log in here. Absent: every user."`
}

// Session is the terms of a login.
type Session struct {
	Cookie      string   `yaml:"cookie" doc:"Name of the cookie."`
	IdleTimeout Duration `yaml:"idle_timeout" doc:"A session that is not used for so long has ended."`
	Lifetime    Duration `yaml:"lifetime" doc:"A session ends so long after the login, used or not."`
	MaxSessions int      `yaml:"max_sessions" doc:"Sessions one person may have here. Absent: no limit."`
	WhenFull    string   `yaml:"when_full" enum:"evict_oldest,refuse" doc:"What a login does when max_sessions are open."`
	MaxUses     *int64   `yaml:"max_uses" doc:"How many requests one login is good for here, over all routes. Absent: no limit."`
}

// Relogin says when a person may log in again.
type Relogin struct {
	MaxLogins int      `yaml:"max_logins" doc:"Logins permitted in the window. Absent: no limit."`
	Window    Duration `yaml:"window" doc:"Length of the window. Absent: max_logins is all until an operator allows more ('jeton user allow-login')."`
	Cooldown  Duration `yaml:"cooldown" doc:"Least time between two logins."`
}

// Teaching is what a teaching client of old needs and nobody else should have.
type Teaching struct {
	Cookies            *TeachingCookies `yaml:"cookies" doc:"Separate cookies for name, token and login time in place of one session cookie."`
	RevealLoginFailure bool             `yaml:"reveal_login_failure" doc:"A failed login says whether the name or the password was wrong."`
	AssertionLogin     string           `yaml:"assertion_login" doc:"Path that takes POST with a JWT that a client has signed, as the whole body, and answers with a token. Refusals are 401 or 403 with a plain text."`
	IssOnly            bool             `yaml:"iss_only" doc:"The JWT of assertion_login need hold nothing but iss: whoever has seen it can use it again."`
	Register           string           `yaml:"register" doc:"Path that takes POST with a username and a password, JSON, from anybody and makes a user of it."`
	TokenInBody        bool             `yaml:"token_in_body" doc:"A token is the whole body of a request, and refusals are 403 with a plain text."`
	DeniedText         string           `yaml:"denied_text" doc:"Text of every refusal, status 403; {{.Name}} is the name that the request claims, or None."`
}

// TeachingCookies names the three cookies. Only the token decides.
type TeachingCookies struct {
	Name      string `yaml:"name" required:"true" doc:"Cookie with the user's name. Shown, never believed."`
	Token     string `yaml:"token" required:"true" doc:"Cookie with the secret."`
	LoginTime string `yaml:"login_time" required:"true" doc:"Cookie with the time of the login, ISO 8601."`
}

// Route is one thing a service answers.
type Route struct {
	Match    string    `yaml:"match" required:"true" doc:"Method and path as in 'GET /reports/{id}' or 'GET /static/{rest...}'; without a method: every method."`
	Open     bool      `yaml:"open" doc:"Anybody may ask, with or without a session."`
	Accept   []string  `yaml:"accept" doc:"What a caller may prove itself with: session, token, basic. Absent: what the service accepts."`
	Scopes   []string  `yaml:"scopes" doc:"Scopes that a token needs here, all of them. A session is not limited by them."`
	Allow    *Allow    `yaml:"allow" doc:"Who may ask. Absent: everybody who has proved who they are."`
	MaxUses  *int64    `yaml:"max_uses" doc:"How many times one login may ask this route. Absent: no limit."`
	Audit    bool      `yaml:"audit" doc:"Record requests that were let through, too."`
	Respond  *Respond  `yaml:"respond" doc:"Answer given by Jeton itself."`
	Upstream *Upstream `yaml:"upstream" doc:"Service behind the gateway that answers."`
}

// Allow lists who may. Being in one of the lists is enough; empty lists allow nobody.
type Allow struct {
	Users   []string `yaml:"users" doc:"Names of users."`
	Groups  []string `yaml:"groups" doc:"Names of groups of users."`
	Clients []string `yaml:"clients" doc:"Names of clients."`
}

// Respond is a built-in answer. Exactly one of JSON, Text and Template is set.
type Respond struct {
	Status   int       `yaml:"status" doc:"HTTP status; 200 when absent."`
	JSON     yaml.Node `yaml:"json" doc:"JSON document. Strings and keys may hold {{.Name}}; {pick: [a, b]} and {randInt: [1, 100]} stand for a random value."`
	Text     string    `yaml:"text" doc:"Plain text, as it stands."`
	Template string    `yaml:"template" doc:"Plain text with {{.Name}}, {{.Groups}}, {{.Session}}, {{pick \"a\" \"b\"}}, {{randInt 1 100}}."`

	kind string
}

// Kind says which answer is set: "json", "text" or "template". Load notes the
// key that was there, so that an empty text is an answer too.
func (r Respond) Kind() string {
	switch {
	case r.kind != "":
		return r.kind
	case !r.JSON.IsZero():
		return "json"
	case r.Template != "":
		return "template"
	}

	return "text"
}

// Upstream is a service behind the gateway.
type Upstream struct {
	URL         string   `yaml:"url" required:"true" doc:"http:// or https:// address; its path is put before the path asked for."`
	StripPrefix string   `yaml:"strip_prefix" doc:"Taken off the path asked for."`
	Timeout     Duration `yaml:"timeout" doc:"How long to wait for the head of the answer."`
	PassHost    bool     `yaml:"pass_host" doc:"Send the host name that was asked for, not the upstream's own."`
	CA          string   `yaml:"ca" doc:"PEM file with the certificate authority of an https upstream. Relative paths start at the data folder."`
}

// Duration is a length of time: what time.ParseDuration reads, and d for days.
type Duration time.Duration

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns d as time.Duration writes it.
func (d Duration) String() string { return d.Std().String() }

// Prefix is a range of addresses: a CIDR, or one address.
type Prefix struct{ netip.Prefix }

// Secret returns the hash that the declared user logs in with; Load has read
// password_hash_file by then.
func (u User) Secret() jeton.Secret { return jeton.NewSecret(u.PasswordHash) }

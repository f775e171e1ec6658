package config

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Database is the PostgreSQL database that nodes share. Its methods are for what Load
// returns, which has read the URL; they are safe for concurrent use.
type Database struct {
	URL              jeton.Secret `yaml:"url" required:"true" doc:"postgres://USER@HOST:PORT/NAME; a password in it is percent-encoded. JETON_DATABASE wins over it."`
	PasswordFile     string       `yaml:"password_file" doc:"File that holds the password as it is, for a URL without one. A relative path starts at this file. It is not for everybody to read: mode 0600 or 0640."`
	Connections      int          `yaml:"connections" doc:"Connections that one node opens at most; 3 to 500."`
	ConnectTimeout   Duration     `yaml:"connect_timeout" doc:"How long one attempt to connect may take; 100ms to 30s."`
	StatementTimeout Duration     `yaml:"statement_timeout" doc:"How long a request waits for an answer of the database before it is answered 503; 100ms to 1.5s."`
	Staleness        Duration     `yaml:"staleness" doc:"How old what a node judges from memory may be; at most 10s. A revocation is answered when no node judges from what was before it, so it takes that long. 0s: the database is asked every time."`
	AllowWeakTLS     bool         `yaml:"allow_weak_tls" doc:"The URL may have a weaker sslmode than verify-full for another machine. Named in the start-up log."`

	target   target
	password jeton.Secret
}

// target is what a URL says beside the password.
type target struct {
	hosts  []host
	user   string            // "": who runs the server
	name   string            // of the database
	params map[string]string // of options, those that are given
}

// host is one place where the database may answer.
type host struct {
	name string // DNS name, address, or folder of a Unix socket
	port int
}

func (h host) socket() bool { return strings.HasPrefix(h.name, "/") }

// local reports whether what is sent to h stays on this machine.
func (h host) local() bool {
	a, err := netip.ParseAddr(h.name)
	return h.socket() || strings.EqualFold(h.name, "localhost") || err == nil && a.IsLoopback()
}

// The modes of TLS, as libpq names them: the weakest first.
const (
	modeDisable = "disable"
	modePrefer  = "prefer"
	modeFull    = "verify-full"
)

func modes() []string {
	return []string{modeDisable, "allow", modePrefer, "require", "verify-ca", modeFull}
}

// sslmode returns the mode that was asked for. By default it is the one that proves who
// answers, except where nobody can be on the way.
func (t target) sslmode() string {
	mode := t.params["sslmode"]
	if mode != "" {
		return mode
	}

	other := slices.ContainsFunc(t.hosts, func(h host) bool { return !h.socket() })
	switch {
	case len(t.away()) > 0 || t.params["sslrootcert"] != "":
		return modeFull
	case other:
		return modePrefer
	}

	return modeDisable
}

// away returns the hosts that are other machines.
func (t target) away() []string {
	var names []string
	for _, h := range t.hosts {
		if !h.local() {
			names = append(names, h.name)
		}
	}

	return names
}

// risk says what the mode of TLS leaves open to whoever is on the way, or "".
func (t target) risk() string {
	if len(t.away()) == 0 {
		return ""
	}

	mode := t.sslmode()
	switch mode {
	case modeFull:
		return ""
	case modeDisable:
		return "sslmode=disable sends everything in the clear"
	case "allow", modePrefer:
		return "sslmode=" + mode + " sends everything in the clear when the other side says so"
	case "verify-ca":
		return "sslmode=verify-ca does not check the name of who answers"
	default:
		return "sslmode=" + mode + " does not check who answers"
	}
}

// ConnString returns the URL to connect with, for pgx: what was given, the password, and
// everything that has a default here. So sslmode and the files of TLS are never those of the
// environment or the home folder. Where there is no password, pgx asks PGPASSWORD and
// ~/.pgpass for one.
func (d *Database) ConnString() jeton.Secret {
	var hosts, ports []string
	for _, h := range d.target.hosts {
		hosts, ports = append(hosts, h.name), append(ports, strconv.Itoa(h.port))
	}

	who := encode(d.target.user)
	if !d.password.IsZero() {
		who += ":" + encode(d.password.Reveal())
	}
	if who != "" {
		who += "@"
	}

	// Hosts stand in the query, where a socket, an IPv6 address and a list are all the same.
	text := "postgres://" + who + "/" + encode(d.target.name) +
		"?host=" + encode(strings.Join(hosts, ",")) + "&port=" + encode(strings.Join(ports, ",")) +
		"&sslmode=" + d.target.sslmode() +
		"&application_name=" + encode(cmp.Or(d.target.params["application_name"], "jeton"))

	for _, file := range certFiles() {
		text += "&" + file + "=" + encode(d.target.params[file]) // empty: not the one in the home folder
	}

	return jeton.NewSecret(text)
}

// encode writes s so that it can stand anywhere in a URL. libpq takes a + for a plus.
func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Where returns the hosts and the name of the database, as in db.example:5432/jeton: for
// logs and errors, without user and password.
func (d *Database) Where() string {
	hosts := make([]string, len(d.target.hosts))
	for i, h := range d.target.hosts {
		hosts[i] = h.name
		if !h.socket() {
			hosts[i] = net.JoinHostPort(h.name, strconv.Itoa(h.port))
		}
	}

	return strings.Join(hosts, ",") + "/" + d.target.name
}

// Weaknesses names what makes the way to the database weaker than the default.
func (d *Database) Weaknesses() []string {
	risk := d.target.risk()
	if risk != "" {
		return []string{"allow_weak_tls: " + risk}
	}
	return nil
}

// Same reports whether d and other mean the same database, used in the same way. Either
// may be nil, which is SQLite.
func (d *Database) Same(other *Database) bool {
	if d == nil || other == nil {
		return d == other
	}

	return d.ConnString().Reveal() == other.ConnString().Reveal() &&
		d.Connections == other.Connections && d.ConnectTimeout == other.ConnectTimeout &&
		d.StatementTimeout == other.StatementTimeout && d.Staleness == other.Staleness
}

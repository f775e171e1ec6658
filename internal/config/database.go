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
// returns, which has read the URL. They are safe for concurrent use.
type Database struct {
	URL              jeton.Secret `yaml:"url" env:"JETON_DATABASE" required:"true" doc:"postgres://USER@HOST:PORT/NAME, with a password percent-encoded. It may name several hosts, separated by commas, or a Unix socket: postgres:///NAME?host=/run/postgresql. Parameters: host, port, user, application_name, channel_binding (disable, prefer, require), sslmode (verify-full, unless all hosts are this machine), sslrootcert, sslcert, sslkey (relative to this file)."`
	PasswordFile     string       `yaml:"password_file" absent:"see url" doc:"File with the password, for a URL without one, mode 0600 or 0640. Relative to this file."`
	Connections      int          `yaml:"connections" default:"12" min:"3" max:"500" doc:"Maximum number of connections of one node."`
	ConnectTimeout   Duration     `yaml:"connect_timeout" default:"2s" min:"100ms" max:"30s" doc:"How long one attempt to connect may take."`
	StatementTimeout Duration     `yaml:"statement_timeout" default:"1s" min:"100ms" max:"1.5s" doc:"How long a request waits for the database before it gets 503."`
	Staleness        Duration     `yaml:"staleness" default:"250ms" max:"10s" doc:"Maximum age of cached data that a node decides by. Revocations take this long. 0s: ask the database for every request."`
	AllowWeakTLS     bool         `yaml:"allow_weak_tls" doc:"Allow a weaker sslmode than verify-full to another machine. Logged at start-up."`

	target   target
	password jeton.Secret
}

// target is what a URL says, without the password.
type target struct {
	hosts  []host
	user   string            // "": the user that runs the server
	name   string            // of the database
	params map[string]string // the options that are set
}

// host is one host of the database.
type host struct {
	name string // DNS name, address, or directory of a Unix socket
	port int
}

// socket reports whether h is the directory of a Unix socket, by the rule of libpq: its name
// begins with a slash.
func (h host) socket() bool { return strings.HasPrefix(h.name, "/") }

// local reports whether h is this machine.
func (h host) local() bool {
	a, err := netip.ParseAddr(h.name)
	return h.socket() || strings.EqualFold(h.name, "localhost") || err == nil && a.IsLoopback()
}

// The modes of TLS, as libpq names them, the weakest first.
const (
	modeDisable = "disable"
	modePrefer  = "prefer"
	modeFull    = "verify-full"
)

// modes returns all modes, from the weakest to the strongest, so that two can be compared by
// their index.
func modes() []string {
	return []string{modeDisable, "allow", modePrefer, "require", "verify-ca", modeFull}
}

// sslmode returns the mode that was set. By default it is verify-full, except where no
// connection leaves this machine.
func (t target) sslmode() string {
	mode := t.params["sslmode"]
	if mode != "" {
		return mode
	}

	// On the loopback interface there is no network to protect from.
	overTCP := slices.ContainsFunc(t.hosts, func(h host) bool { return !h.socket() })
	switch {
	case len(t.remote()) > 0 || t.params["sslrootcert"] != "":
		return modeFull
	case overTCP:
		return modePrefer
	}

	return modeDisable
}

// channelBindings returns the values of channel_binding.
func channelBindings() []string { return []string{modeDisable, modePrefer, "require"} }

// channelBinding returns whether the login is bound to the TLS connection (SCRAM-SHA-256-PLUS,
// RFC 5802). Hosted PostgreSQL often has require in the URL that it shows.
func (t target) channelBinding() string {
	return cmp.Or(t.params["channel_binding"], modePrefer)
}

// remote returns the hosts that are other machines.
func (t target) remote() []string {
	var names []string
	for _, h := range t.hosts {
		if !h.local() {
			names = append(names, h.name)
		}
	}

	return names
}

// risk describes what the mode of TLS permits an attacker on the network, or returns "".
func (t target) risk() string {
	if len(t.remote()) == 0 {
		return ""
	}

	mode := t.sslmode()
	switch mode {
	case modeFull:
		return ""
	case modeDisable:
		return "sslmode=disable sends everything in clear text"
	case "allow", modePrefer:
		return "sslmode=" + mode + " sends everything in clear text if the server asks for it"
	case "verify-ca":
		return "sslmode=verify-ca does not check the host name of the server"
	default:
		return "sslmode=" + mode + " does not check the server's certificate"
	}
}

// ConnString returns the URL for pgx: what was set, the password, and everything that has
// a default here. So sslmode and the files of TLS never come from the environment or the
// home directory. Without a password, pgx reads PGPASSWORD and ~/.pgpass.
func (d *Database) ConnString() jeton.Secret {
	var hosts, ports []string
	for _, h := range d.target.hosts {
		hosts = append(hosts, h.name)
		ports = append(ports, strconv.Itoa(h.port))
	}

	login := encode(d.target.user)
	if !d.password.IsZero() {
		login += ":" + encode(d.password.Reveal())
	}
	if login != "" {
		login += "@"
	}

	// Hosts are in the query, where sockets, IPv6 addresses and lists need no special form.
	text := "postgres://" + login + "/" + encode(d.target.name) +
		"?host=" + encode(strings.Join(hosts, ",")) + "&port=" + encode(strings.Join(ports, ",")) +
		"&sslmode=" + d.target.sslmode() +
		"&channel_binding=" + d.target.channelBinding() +
		"&application_name=" + encode(cmp.Or(d.target.params["application_name"], "jeton"))

	for _, file := range certFiles() {
		text += "&" + file + "=" + encode(d.target.params[file]) // empty: not the one in the home directory
	}

	return jeton.NewSecret(text)
}

// encode escapes s for any part of a URL. To libpq, + is a plus.
func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Where returns the hosts and the name of the database, as in db.example:5432/jeton, for
// logs and errors: without user and password.
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

// Weaknesses describes what is weaker than the default, for the start-up log.
func (d *Database) Weaknesses() []string {
	risk := d.target.risk()
	if risk != "" {
		return []string{"allow_weak_tls: " + risk}
	}
	return nil
}

// Same reports whether d and other are the same database with the same settings. Either
// may be nil, which is SQLite.
func (d *Database) Same(other *Database) bool {
	if d == nil || other == nil {
		return d == other
	}

	return d.ConnString().Reveal() == other.ConnString().Reveal() &&
		d.Connections == other.Connections && d.ConnectTimeout == other.ConnectTimeout &&
		d.StatementTimeout == other.StatementTimeout && d.Staleness == other.Staleness
}

package config

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

// defaultPort is the port of PostgreSQL.
const defaultPort = 5432

// certFiles are the parameters of a URL that name files.
func certFiles() []string { return []string{"sslcert", "sslkey", "sslrootcert"} }

// options are the permitted parameters of a URL. Other parameters of PostgreSQL are set
// by the server, or have a key.
func options() []string {
	return append(certFiles(), "application_name", "host", "port", "sslmode", "user")
}

// notOption says where to set what other programs read from the URL.
func notOption(parameter string) string {
	switch parameter {
	case "password":
		return "not the place of a password; write it before the host as in USER:${DB_PASSWORD}@, or set password_file"
	case "dbname":
		return "not permitted; the name of the database is the path, as in postgres://HOST/NAME"
	case "connect_timeout", "statement_timeout":
		return "not a parameter; set " + parameter + " next to url"
	case "pool_max_conns":
		return "not a parameter; set connections next to url"
	case "target_session_attrs":
		return "not permitted: the primary is found anyway; remove it"
	}

	return "unknown parameter; " + yamlread.Suggest(parameter, options())
}

// unreadable is the fault of a URL whose parts cannot be separated. It shows none of it:
// what looks like a host may be the rest of a password.
const unreadable = "invalid URL: want one such as postgres://USER@HOST:5432/NAME; write % / ? # @ and spaces " +
	"in a password as %25 %2F %3F %23 %40 and %20, or set password_file"

// parseTarget reads a URL as libpq does, and returns its parts and its password. No fault
// shows a part that may be secret. Errors of net/url would: they repeat the whole URL.
func parseTarget(text string) (target, jeton.Secret, []string) {
	var none jeton.Secret

	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case strings.HasPrefix(text, "sqlite:") || strings.HasPrefix(text, "file:"):
		return target{}, none, []string{"remove the key to use SQLite in the data folder; only PostgreSQL has a URL"}
	case !ok || scheme != "postgres" && scheme != "postgresql":
		return target{}, none, []string{"invalid URL: want one such as postgres://USER@HOST:5432/NAME"}
	case strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }):
		return target{}, none, []string{unreadable}
	}

	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}

	authority, rest := rest[:end], rest[end:]
	path, query, _ := strings.Cut(rest, "?")

	if strings.Contains(rest, "@") { // after the path began: the password has a / or ?
		return target{}, none, []string{unreadable}
	}

	t := target{params: make(map[string]string)}
	var err error
	t.name, err = decode(strings.TrimPrefix(path, "/"))
	if err != nil || strings.Count(path, "/") > 1 {
		return target{}, none, []string{unreadable}
	}

	at := strings.LastIndex(authority, "@")
	user, secret, hasPassword := strings.Cut(authority[:max(at, 0)], ":")
	t.user, err = decode(user)
	if err != nil {
		return target{}, none, []string{unreadable}
	}

	if secret, err = decode(secret); err != nil {
		return target{}, none, []string{unreadable}
	}

	t.hosts, err = hostList(authority[at+1:])
	if err != nil {
		return target{}, none, []string{unreadable}
	}

	faults := t.query(query)
	if t.name == "" {
		faults = append(faults, "no name of a database; write it after the host, as in postgres://HOST/NAME")
	}
	if hasPassword && secret == "" {
		faults = append(faults, "empty password; set one, or remove the colon after the user")
	}

	return t, jeton.NewSecret(secret), faults
}

// decode unescapes one part of a URL. A NUL would end it early in the protocol.
func decode(s string) (string, error) {
	s, err := url.PathUnescape(s)
	if err == nil && strings.ContainsRune(s, 0) {
		err = errors.New("NUL")
	}
	return s, err
}

// hostList reads HOST:PORT,HOST:PORT. A port that is absent is 0.
func hostList(text string) ([]host, error) {
	if text == "" {
		return nil, nil
	}

	var hosts []host
	for part := range strings.SplitSeq(text, ",") {
		name, port := part, ""
		i := strings.LastIndex(part, ":")
		if i > strings.LastIndex(part, "]") {
			name, port = part[:i], part[i+1:]
			if port == "" {
				return nil, errors.New("no port after a colon")
			}
		}

		name, err := decode(name)
		if err != nil {
			return nil, err
		}

		inner, bracket := strings.CutPrefix(name, "[")
		if bracket {
			name, bracket = strings.CutSuffix(inner, "]")
			if !bracket || !isIPv6(name) {
				return nil, errors.New("no IPv6 address in brackets")
			}
		} else if isIPv6(name) {
			return nil, errors.New("an IPv6 address without brackets")
		}

		h := host{name: name}
		if !h.socket() && !isHost(name) || strings.Contains(name, ",") {
			return nil, errors.New("no host")
		}

		if port != "" {
			h.port, err = portNumber(port)
			if err != nil {
				return nil, err
			}
		}

		hosts = append(hosts, h)
	}

	return hosts, nil
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

func portNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return int(n), err
}

// query reads the parameters and returns the faults. Hosts may be among them.
func (t *target) query(text string) (faults []string) {
	if text == "" {
		return t.places()
	}

	for pair := range strings.SplitSeq(text, "&") {
		name, value, ok := strings.Cut(pair, "=")
		name, err := decode(name)
		value, valueErr := decode(value)
		_, again := t.params[name]
		switch {
		case !ok || err != nil || valueErr != nil || name == "":
			faults = append(
				faults,
				"invalid parameter after the ?: want one such as sslmode=verify-full, and & between two",
			)
		case !slices.Contains(options(), name):
			faults = append(faults, yamlread.Quote(name)+": "+notOption(name))
		case value == "":
			faults = append(faults, name+" is empty; set it, or remove it")
		case again:
			faults = append(faults, name+" is set twice; keep one")
		default:
			t.params[name] = value
		}
	}

	user := t.params["user"]
	if user != "" && t.user != "" {
		faults = append(faults, "user is set twice, here and before the host; keep one")
	} else if user != "" {
		t.user = user
	}

	return append(faults, t.places()...)
}

// places completes the hosts and ports, and returns the faults.
func (t *target) places() (faults []string) {
	list := t.params["host"]
	if list != "" && t.hosts != nil {
		faults = append(faults, "host is set twice, here and before the path; keep one")
	} else if list != "" {
		for name := range strings.SplitSeq(list, ",") {
			if h := (host{name: name}); h.socket() || isHost(name) {
				t.hosts = append(t.hosts, h)
				continue
			}
			faults = append(
				faults,
				"host: invalid host "+yamlread.Quote(name)+": want a name, or the directory of a socket, such as /run/postgresql",
			)
		}
	}

	if t.hosts == nil && len(faults) == 0 {
		faults = append(
			faults,
			"no host; want postgres://HOST/NAME, or postgres:///NAME?host=/run/postgresql for a Unix socket",
		)
	}

	ports := strings.Split(t.params["port"], ",")
	if len(ports) > 1 && len(ports) != len(t.hosts) {
		faults = append(faults, "port: want one for each host, or one for all hosts")
		return faults
	}

	for i := range t.hosts {
		h, port := &t.hosts[i], ports[min(i, len(ports)-1)]
		n, err := portNumber(port)
		switch {
		case port == "":
		case err != nil:
			return append(faults, "port: invalid port "+yamlread.Quote(port)+": want 1 to 65535")
		case h.port != 0:
			return append(faults, "port is set twice, here and after the host; keep one")
		default:
			h.port = n
		}

		if h.port == 0 {
			h.port = defaultPort
		}
	}

	return faults
}

package config

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
)

// standardPort is where PostgreSQL answers when nothing else is said.
const standardPort = 5432

// certFiles are the parameters of a URL that name files.
func certFiles() []string { return []string{"sslcert", "sslkey", "sslrootcert"} }

// options is the closed set of parameters of a URL. What PostgreSQL takes beside them is
// ours to say, or has a key of its own.
func options() []string {
	return append(certFiles(), "application_name", "host", "port", "sslmode", "user")
}

// elsewhere says where that is set which other programs read from the URL.
func elsewhere(parameter string) string {
	switch parameter {
	case "password":
		return "no place for a password; write it before the host as in USER:${DB_PASSWORD}@, or name a password_file"
	case "dbname":
		return "given twice; the name of the database is the path, as in postgres://HOST/NAME"
	case "connect_timeout", "statement_timeout":
		return "no parameter here; write " + parameter + " next to url"
	case "pool_max_conns":
		return "no parameter here; write connections next to url"
	case "target_session_attrs":
		return "not for the URL to say: the node that takes changes is found anyway; leave it out"
	}

	return "unknown parameter; " + suggest(parameter, options())
}

// unreadable is the fault of a URL whose parts cannot be told apart. None of it is shown:
// what looks like a host may be the rest of a password.
const unreadable = "cannot be read; write it as in postgres://USER@HOST:5432/NAME, and % / ? # @ and spaces " +
	"in a password as %25 %2F %3F %23 %40 and %20, or name a password_file"

// parseTarget reads a URL as libpq does, and returns what it says and its password. No
// fault shows a part that may be secret. The parser of net/url would: its errors repeat
// the whole.
func parseTarget(text string) (target, jeton.Secret, []string) {
	var none jeton.Secret

	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case strings.HasPrefix(text, "sqlite:") || strings.HasPrefix(text, "file:"):
		return target{}, none, []string{"SQLite is not named here: it is what is used when there is no database at all, in the data folder; remove the key"}
	case !ok || scheme != "postgres" && scheme != "postgresql":
		return target{}, none, []string{"no URL of PostgreSQL; write it as in postgres://USER@HOST:5432/NAME"}
	case strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }):
		return target{}, none, []string{unreadable}
	}

	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}

	authority, rest := rest[:end], rest[end:]
	path, query, _ := strings.Cut(rest, "?")

	if strings.Contains(rest, "@") { // the one behind the user is further on: a password held a / or ?
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
		faults = append(faults, "names no database; write its name behind the host, as in postgres://HOST/NAME")
	}
	if hasPassword && secret == "" {
		faults = append(faults, "the password is empty; give one, or leave out the colon behind the user")
	}

	return t, jeton.NewSecret(secret), faults
}

// decode reads one part of a URL. A NUL would end it early on the wire.
func decode(s string) (string, error) {
	s, err := url.PathUnescape(s)
	if err == nil && strings.ContainsRune(s, 0) {
		err = errors.New("NUL")
	}
	return s, err
}

// hostList reads HOST:PORT,HOST:PORT. A port that is not given is 0.
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
				return nil, errors.New("no port behind a colon")
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
		if !h.socket() && !hostName(name) || strings.Contains(name, ",") {
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

// query reads the parameters, those of hosts among them, and returns the faults.
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
				"a parameter behind the ? cannot be read; write it as in sslmode=verify-full, with & between two",
			)
		case !slices.Contains(options(), name):
			faults = append(faults, quote(name)+": "+elsewhere(name))
		case value == "":
			faults = append(faults, name+" is empty; give it a value, or remove it")
		case again:
			faults = append(faults, name+" is given twice; keep one")
		default:
			t.params[name] = value
		}
	}

	user := t.params["user"]
	if user != "" && t.user != "" {
		faults = append(faults, "user is given next to the one before the host; keep one")
	} else if user != "" {
		t.user = user
	}

	return append(faults, t.places()...)
}

// places puts together where the database is, and returns the faults.
func (t *target) places() (faults []string) {
	list := t.params["host"]
	if list != "" && t.hosts != nil {
		faults = append(faults, "host is given next to the one before the path; keep one")
	} else if list != "" {
		for name := range strings.SplitSeq(list, ",") {
			if h := (host{name: name}); h.socket() || hostName(name) {
				t.hosts = append(t.hosts, h)
				continue
			}
			faults = append(
				faults,
				"host: "+quote(name)+
					" is no host; write it as in db.example, or the folder of a socket as in /run/postgresql",
			)
		}
	}

	if t.hosts == nil && len(faults) == 0 {
		faults = append(
			faults,
			"names no host; write it as in postgres://HOST/NAME, or postgres:///NAME?host=/run/postgresql for a Unix socket",
		)
	}

	ports := strings.Split(t.params["port"], ",")
	if len(ports) > 1 && len(ports) != len(t.hosts) {
		faults = append(faults, "port: as many as there are hosts are right, or one for all of them")
		return faults
	}

	for i := range t.hosts {
		h, port := &t.hosts[i], ports[min(i, len(ports)-1)]
		n, err := portNumber(port)
		switch {
		case port == "":
		case err != nil:
			return append(faults, "port: "+quote(port)+" is no port; 1 to 65535 are right")
		case h.port != 0:
			return append(faults, "port is given next to the one behind the host; keep one")
		default:
			h.port = n
		}

		if h.port == 0 {
			h.port = standardPort
		}
	}

	return faults
}

package config

import (
	"cmp"
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
	return append(certFiles(), "application_name", "channel_binding", "host", "port", "sslmode", "user")
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

// errUnreadable is unreadable as an error, for the functions that return one.
var errUnreadable = errors.New(unreadable)

// parseTarget reads a URL as libpq does, and returns its parts and its password. No fault
// shows a part that may be secret. Errors of net/url would: they repeat the whole URL.
func parseTarget(text string) (t target, password jeton.Secret, faults []string) {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case strings.HasPrefix(text, "sqlite:") || strings.HasPrefix(text, "file:"):
		fault := "remove the key to use SQLite in the data directory; only PostgreSQL has a URL"
		return target{}, password, []string{fault}
	case !ok || scheme != "postgres" && scheme != "postgresql":
		fault := "invalid URL: want one such as postgres://USER@HOST:5432/NAME"
		return target{}, password, []string{fault}
	}

	t, secret, query, err := split(rest)
	if err != nil {
		return target{}, password, []string{unreadable}
	}

	faults = t.query(query)
	if t.name == "" {
		faults = append(faults, "no name of a database; write it after the host, as in postgres://HOST/NAME")
	}
	if secret != nil && *secret == "" {
		faults = append(faults, "empty password; set one, or remove the colon after the user")
	}
	if secret != nil {
		password = jeton.NewSecret(*secret)
	}

	return t, password, faults
}

// split reads USER:PASSWORD@HOSTS/NAME?QUERY. The password is nil without a colon after
// the user.
func split(text string) (t target, password *string, query string, err error) {
	// Such a character was probably meant for a password and not encoded.
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }) {
		return target{}, nil, "", errUnreadable
	}

	end := strings.IndexAny(text, "/?")
	if end < 0 {
		end = len(text)
	}
	if strings.Contains(text[end:], "@") { // after the path began: the password has a / or ?
		return target{}, nil, "", errUnreadable
	}

	path, query, _ := strings.Cut(text[end:], "?")
	if strings.Count(path, "/") > 1 {
		return target{}, nil, "", errUnreadable
	}

	login, hosts := "", text[:end]
	at := strings.LastIndex(hosts, "@")
	if at >= 0 {
		login, hosts = hosts[:at], hosts[at+1:]
	}

	user, secret, hasPassword := strings.Cut(login, ":")
	if hasPassword {
		secret, err = decode(secret)
		password = &secret
	}

	t.params = make(map[string]string)
	t.name, err = decodeAfter(err, strings.TrimPrefix(path, "/"))
	t.user, err = decodeAfter(err, user)
	if err != nil {
		return target{}, nil, "", err
	}

	t.hosts, err = hostList(hosts)

	return t, password, query, err
}

// decodeAfter decodes s unless an earlier part of the URL has an error.
func decodeAfter(err error, s string) (string, error) {
	if err != nil {
		return "", err
	}
	return decode(s)
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
		h, err := parseHost(part)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}

	return hosts, nil
}

// parseHost reads HOST, HOST:PORT or [IPv6]:PORT.
func parseHost(text string) (host, error) {
	name, port := text, ""
	colon := strings.LastIndex(text, ":")
	if colon > strings.LastIndex(text, "]") {
		name, port = text[:colon], text[colon+1:]
		if port == "" {
			return host{}, errors.New("no port after a colon")
		}
	}

	name, err := decode(name)
	if err != nil {
		return host{}, err
	}

	bracketed := strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]")
	if bracketed {
		name = name[1 : len(name)-1]
	}

	// Without brackets, the last group of an IPv6 address would be read as a port.
	if bracketed != isIPv6(name) {
		return host{}, errors.New("want an IPv6 address in brackets, and nothing else")
	}

	h := host{name: name}
	if !h.socket() && !isHost(name) || strings.Contains(name, ",") {
		return host{}, errors.New("not a host")
	}

	if port != "" {
		h.port, err = portNumber(port)
	}

	return h, err
}

// isIPv6 distinguishes an address with colons from HOST:PORT.
func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

// portNumber reads a port. 0 is refused: to the operating system it means any port, which a
// client cannot connect to.
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
		fault := t.parameter(pair)
		if fault != "" {
			faults = append(faults, fault)
		}
	}

	user := t.params["user"]
	if user != "" && t.user != "" {
		faults = append(faults, "user is set twice, here and before the host; keep one")
	}
	t.user = cmp.Or(t.user, user)

	return append(faults, t.places()...)
}

// parameter reads NAME=VALUE and returns the fault, or "".
func (t *target) parameter(pair string) (fault string) {
	name, value, ok := strings.Cut(pair, "=")
	name, err := decode(name)
	value, valueErr := decode(value)
	// Two readers of the URL could take different ones.
	_, again := t.params[name]

	switch {
	case !ok || err != nil || valueErr != nil || name == "":
		return "invalid parameter after the ?: want one such as sslmode=verify-full, and & between two"
	case !slices.Contains(options(), name):
		return yamlread.Quote(name) + ": " + notOption(name)
	case value == "":
		return name + " is empty; set it, or remove it"
	case again:
		return name + " is set twice; keep one"
	}

	t.params[name] = value

	return ""
}

// places completes the hosts and ports, and returns the faults.
func (t *target) places() (faults []string) {
	list := t.params["host"]
	switch {
	case list != "" && t.hosts != nil:
		faults = append(faults, "host is set twice, here and before the path; keep one")
	case list != "":
		faults = t.hostParameter(list)
	case t.hosts == nil:
		const fault = "no host; want postgres://HOST/NAME, or postgres:///NAME?host=/run/postgresql for a Unix socket"
		faults = append(faults, fault)
	}

	ports := strings.Split(t.params["port"], ",")
	if len(ports) > 1 && len(ports) != len(t.hosts) {
		return append(faults, "port: want one for each host, or one for all hosts")
	}

	for i := range t.hosts {
		fault := t.hosts[i].setPort(ports[min(i, len(ports)-1)])
		if fault != "" {
			return append(faults, fault)
		}
	}

	return faults
}

// hostParameter reads the parameter host, and returns the faults.
func (t *target) hostParameter(list string) (faults []string) {
	for name := range strings.SplitSeq(list, ",") {
		h := host{name: name}
		if h.socket() || isHost(name) {
			t.hosts = append(t.hosts, h)
			continue
		}

		faults = append(
			faults,
			"host: invalid host "+yamlread.Quote(name)+": want a name, or the directory of a socket",
		)
	}

	return faults
}

// setPort sets the port of the parameter, or the default, and returns the fault, or "".
func (h *host) setPort(port string) (fault string) {
	if port == "" {
		h.port = cmp.Or(h.port, defaultPort)
		return ""
	}

	n, err := portNumber(port)
	switch {
	case err != nil:
		return "port: invalid port " + yamlread.Quote(port) + ": want 1 to 65535"
	case h.port != 0:
		return "port is set twice, here and after the host; keep one"
	}

	h.port = n

	return ""
}

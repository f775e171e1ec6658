package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/store/postgres"
)

const (
	// examinePatience is how long an examination waits for another program.
	examinePatience = 10 * time.Second
	// maxClockError is how far two clocks may differ; the header Date has whole seconds.
	maxClockError = 5 * time.Second
	maxMetadata   = 1 << 20                                   // bytes
	metadataPath  = "/.well-known/oauth-authorization-server" // RFC 8414
)

// database looks at the database: whether it answers, its schema, what its user may do, and its clock.
func (i *installation) database(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, examinePatience)
	defer cancel()

	list, err := Migrations(ctx, i.Config)
	if err != nil {
		i.found("database", err.Error(), i.databaseFix())
		return
	}

	missing := 0
	for _, m := range list {
		if !m.Applied {
			missing++
		}
	}
	if missing > 0 {
		i.found("schema", fmt.Sprintf("%d of %d steps of the schema are missing", missing, len(list)),
			"run 'jeton migrate preflight', then restart the server, which applies them")
	} else {
		i.content(ctx)
	}

	if i.File.Database != nil {
		i.sharedDatabase(ctx)
	}
}

// databaseFix returns what to do about a database that cannot be read.
func (i *installation) databaseFix() string {
	if i.File.Database != nil {
		return "correct database.url, start the database, or let its user connect"
	}

	_, err := os.Stat(DataFile(i.DataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return "start the server once, or restore a backup"
	}

	return "stop the server, and restore a backup with 'jeton restore FILE'"
}

// sharedDatabase looks at what only PostgreSQL has.
func (i *installation) sharedDatabase(ctx context.Context) {
	sent := i.Now()
	clock, lacking, err := postgres.Inspect(ctx, sharedDatabase(i.Config, i.File))
	if err != nil {
		i.found("database", err.Error(), "correct database.url, start the database, or let its user connect")
		return
	}

	if len(lacking) > 0 {
		i.found("database-rights", "the user of the database lacks "+strings.Join(lacking, ", "),
			"GRANT what is missing to the user, or make it the owner of the database")
	}

	i.clock(sent, clock, "the database "+i.File.Database.Where())
}

// clock compares the clock of this machine with one that was read since a time.
func (i *installation) clock(sent, other time.Time, where string) {
	if other.Before(sent.Add(-maxClockError)) || other.After(i.Now().Add(maxClockError)) {
		i.found("clock", fmt.Sprintf("this machine has %s, and %s %s", sent.UTC().Format(time.RFC3339), where,
			other.UTC().Format(time.RFC3339)), "synchronise the clocks of both machines (NTP)")
	}
}

// issuer looks whether clients reach the authorization server at its URL.
func (i *installation) issuer(ctx context.Context) {
	conf := i.File.Issuer
	if conf == nil {
		return
	}

	ctx, cancel := context.WithTimeout(ctx, examinePatience)
	defer cancel()

	u, err := url.Parse(conf.URL)
	if err != nil {
		return // package config has checked it
	}
	_, err = net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		i.found("issuer-name", err.Error(), "add the name to DNS, or correct issuer.url")
		return
	}

	sent := i.Now()
	resp, err := i.metadata(ctx, conf.URL)
	if err != nil {
		i.issuerUnreached(u.Hostname(), err)
		return
	}

	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err == nil {
		i.clock(sent, date, conf.URL)
	}
}

// issuerUnreached adds why clients do not reach the authorization server. A certificate of this server that has expired
// or is for another name was found before.
func (i *installation) issuerUnreached(host string, err error) {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError

	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if !i.has("certificate-time") {
			i.found("issuer", "the certificate that answers for "+host+" has expired, or is not valid yet",
				"renew the certificate of the proxy in front of the server")
		}
	case errors.As(err, &name):
		if !i.has("certificate-name") {
			i.found("issuer", err.Error(), "get a certificate with this name, or correct issuer.url")
		}
	case errors.As(err, &unknown):
		i.found("issuer", err.Error(), "get a certificate of an authority that clients trust, or correct issuer.url")
	default:
		i.found("issuer", err.Error(), "start the server, or correct issuer.url and the proxy in front of it")
	}
}

// metadata fetches the metadata of the issuer (RFC 8414), and returns the response without its body.
func (i *installation) metadata(ctx context.Context, issuer string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+metadataPath, nil)
	if err != nil {
		return nil, err
	}

	roots := Authorities(i.path(i.File.Issuer.TLS.Cert))
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()

	var got struct {
		Issuer string `json:"issuer"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxMetadata)).Decode(&got)
	if resp.StatusCode != http.StatusOK || err != nil || got.Issuer != issuer {
		return nil, fmt.Errorf("%s answers %s, and not with the metadata of this issuer", r.URL, resp.Status)
	}

	return resp, nil
}

// Authorities returns those of the system and, if the file can be read, a certificate of this server, which may be
// self-signed.
func Authorities(certFile string) *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}

	pem, err := os.ReadFile(certFile)
	if err == nil {
		pool.AppendCertsFromPEM(pem)
	}

	return pool
}

// mail looks whether the mail server takes connections.
func (i *installation) mail(ctx context.Context) {
	if i.File.Mail == nil || i.File.Mail.SMTP == nil {
		return
	}

	ctx, cancel := context.WithTimeout(ctx, examinePatience)
	defer cancel()

	to := i.File.Mail.SMTP
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(to.Port)))
	if err != nil {
		i.found("mail", err.Error(),
			"correct mail.smtp.host and port, or let the firewall pass; then run 'jeton mail test'")
		return
	}

	_ = conn.Close()
}

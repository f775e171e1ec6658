package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/jose"
)

// continuePatience bounds the wait for an upstream's 100 (Continue) before the body is read and sent. Many servers
// send none (RFC 9110, section 10.1.1).
const continuePatience = 2 * time.Second

// transport returns the connections to one upstream. Compression is left to the client and the
// upstream: what passes is unchanged.
func transport(c config.Upstream, dataDir string) (*http.Transport, error) {
	// Without MaxIdleConnsPerHost two idle connections are kept, and a busy service would open one for most requests.
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: c.Connect.Std(), KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    c.Connect.Std(),
		ResponseHeaderTimeout:  c.Timeout.Std(),
		ExpectContinueTimeout:  continuePatience,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    64,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}

	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(c.Protocol != "h2c")
	t.Protocols.SetHTTP2(c.Protocol == "auto")
	t.Protocols.SetUnencryptedHTTP2(c.Protocol == "h2c")

	if c.CA == "" {
		return t, nil
	}

	path := c.CA
	if !filepath.IsAbs(path) {
		path = filepath.Join(dataDir, path)
	}

	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("upstream.ca: %w", err)
	}

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(jose.TrimBOM(pem)) {
		return nil, fmt.Errorf("upstream.ca: %s has no PEM certificate", path)
	}

	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}

	return t, nil
}

//go:build !walletonly

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
)

const (
	metricsPatience = 5 * time.Second
	maxMetrics      = 16 << 20 // bytes
)

// scraper reads the metrics of servers from their admin listeners.
type scraper struct {
	http  *http.Client
	token string // bearer token, or ""
}

// newScraper returns a scraper with the token and the certificate of a configuration.
func newScraper(conf *config.Config, dataDir string) *scraper {
	cert := ""
	if conf.Admin.TLS != nil {
		cert = conf.Admin.TLS.Cert
		if !filepath.IsAbs(cert) {
			cert = filepath.Join(dataDir, cert)
		}
	}

	return &scraper{
		http: &http.Client{
			Timeout:   metricsPatience,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.Authorities(cert)}},
			// The token must not go to another address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		token: conf.Admin.Token().Reveal(),
	}
}

// adminURL returns the URL of the admin listener of a configuration.
func adminURL(conf *config.Config) (string, error) {
	if conf.Admin.Listen == "off" {
		return "", errors.New("admin.listen is off: set it, so that the server has metrics")
	}

	scheme := "http://"
	if conf.Admin.TLS != nil {
		scheme = "https://"
	}
	at := conf.Admin.Listen
	if strings.HasPrefix(at, ":") {
		at = "localhost" + at
	}

	return scheme + at, nil
}

// text returns the metrics of a server in the format of Prometheus.
func (s *scraper) text(ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/metrics", nil)
	if err != nil {
		return "", err
	}
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}

	resp, err := s.http.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()

	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMetrics))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", r.URL, resp.Status)
	}

	return string(body), err
}

// sample is a value of a metric.
type sample struct {
	name   string
	labels string // as in outcome="ok",service="shop"
	value  float64
}

// label returns the value of a label, or "". The labels of Jeton have no quotes in their values.
func (s sample) label(name string) string {
	_, rest, _ := strings.Cut(","+s.labels, ","+name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// samples reads the lines of the metrics of Jeton and of its process.
func samples(text string) []sample {
	var list []sample
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		series, number, ok := strings.Cut(lines.Text(), "} ")
		if !ok {
			series, number, ok = strings.Cut(lines.Text(), " ")
		}

		value, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			continue // a comment
		}

		name, labels, _ := strings.Cut(series, "{")
		list = append(list, sample{name, labels, value})
	}

	return list
}

package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTheValidityOfACertificate(t *testing.T) {
	const day = 24 * time.Hour
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

	for _, tc := range []struct {
		name     string
		lifetime time.Duration
		at       time.Duration // after its begin
		want     string
	}{
		{"a second before it begins", 90 * day, -time.Second, certEarly},
		{"as it begins", 90 * day, 0, ""},
		{"thirty days before the end of ninety", 90 * day, 60 * day, ""},
		{"a second later", 90 * day, 60*day + time.Second, certSoon},
		{"thirty days before the end of a year", 365 * day, 335 * day, ""},
		{"a second later than that", 365 * day, 335*day + time.Second, certSoon},
		{"a third before the end of six days", 6 * day, 4 * day, ""},
		{"a second after two of three parts of six days", 6 * day, 4*day + time.Second, certSoon},
		{"as it ends", 90 * day, 90 * day, certSoon},
		{"a second after its end", 90 * day, 90*day + time.Second, certExpired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leaf := &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(tc.lifetime)}
			got, _ := validity(leaf, begin.Add(tc.at))
			if got != tc.want {
				t.Errorf("validity(begin+%v) = %q, want %q", tc.at, got, tc.want)
			}
		})
	}
}

func TestWarningsOfCertificatesAreRepeatedDaily(t *testing.T) {
	const day = 24 * time.Hour
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(90 * day)}
	loaded := begin.Add(59 * day) // a day before it expires soon

	for _, tc := range []struct {
		name  string
		hours []int // at which it looks, after it was loaded
		want  int
	}{
		{"while it is valid for long", []int{1, 12, 24}, 0},
		{"in the first hour after that", []int{24, 25}, 0},
		{"on each of three days", []int{25, 26, 49, 50, 73, 74}, 3},
		{"on the day after it has expired", []int{31 * 24, 32*24 + 1}, 2},
		{"after the clock was set back", []int{49, 26}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			var inUse certificates
			inUse.set([]servedCertificate{{
				service: "shop",
				pair:    &tls.Certificate{Leaf: leaf},
			}}, loaded)

			for _, h := range tc.hours {
				inUse.warnDaily(loaded.Add(time.Duration(h)*time.Hour), slog.New(slog.NewTextHandler(&log, nil)))
			}

			got := strings.Count(log.String(), "service=shop")
			if got != tc.want {
				t.Errorf("%d warnings, want %d:\n%s", got, tc.want, &log)
			}
		})
	}
}

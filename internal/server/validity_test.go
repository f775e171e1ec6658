package server

import (
	"crypto/x509"
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
			got := validity(leaf, begin.Add(tc.at))
			if got != tc.want {
				t.Errorf("validity(begin+%v) = %q, want %q", tc.at, got, tc.want)
			}
		})
	}
}

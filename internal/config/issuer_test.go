package config_test

import (
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
)

func TestDefaultIssuerKeysAreThoseOfTheTags(t *testing.T) {
	got := config.DefaultIssuerKeys()
	want := config.IssuerKeys{
		Algorithm:   "EdDSA",
		RotateEvery: config.Duration(30 * 24 * time.Hour),
		PublishFor:  config.Duration(10 * time.Minute),
	}
	if got != want {
		t.Errorf("DefaultIssuerKeys = %+v, want %+v", got, want)
	}
}

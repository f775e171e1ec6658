package session

import (
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Upstream begins the method of a session that began at another provider; its name follows.
const Upstream = "upstream:"

// Device is what a user signs in with.
type Device struct {
	Agent  string       // User-Agent of the request, as it was sent
	Secret jeton.Secret // which the browser keeps, so that it is recognised; zero: it keeps none
}

const (
	// DeviceLifetime is how long a device is known after the last sign-in. Browsers keep no cookie for longer.
	DeviceLifetime = 400 * 24 * time.Hour
	// MaxDevices limits the devices that are known of a user. A new one takes the place of the oldest.
	MaxDevices = 20
)

// Hash returns what a device is stored by; zero: it is not stored.
func (d Device) Hash() secret.Hash {
	if d.Secret.IsZero() {
		return secret.Hash{}
	}

	return secret.HashOf(d.Secret.Reveal())
}

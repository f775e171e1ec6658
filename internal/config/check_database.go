package config

import (
	"slices"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

// database checks what the URL says.
func (c checker) database() {
	d := c.conf.Database
	if d == nil {
		return
	}

	t := d.target
	mode := t.sslmode()
	if !slices.Contains(modes(), mode) {
		c.Invalid(&d.URL, "sslmode", mode, yamlread.OneOf(mode, modes()))
		return
	}

	binding := t.channelBinding()
	if !slices.Contains(channelBindings(), binding) {
		c.Invalid(&d.URL, "channel_binding", binding, yamlread.OneOf(binding, channelBindings()))
		return
	}

	risk := t.risk()
	// Session and token hashes, and who has which rights, pass through this connection.
	if risk != "" && !d.AllowWeakTLS {
		c.Fault(
			&d.URL,
			"%s, and %s is another machine; want sslmode=verify-full, with sslrootcert=FILE for your own authority, "+
				"or allow_weak_tls: true if the network is private",
			risk,
			yamlread.Quote(t.remote()[0]),
		)
	}

	if (t.params["sslcert"] == "") != (t.params["sslkey"] == "") {
		c.Fault(&d.URL, "sslcert and sslkey need each other; set both, or neither")
	}
}

package config

import "time"

// fill sets a field that the file says nothing (readable) about.
func fill[T any](d *document, path string, field *T, value T) {
	if !d.has(path) || d.wrong[path] {
		*field = value
	}
}

// defaults gives every value that is absent its documented default.
func (d *document) defaults(c *Config) {
	v := c.Database
	if v != nil {
		fill(d, "database.connections", &v.Connections, 12)
		fill(d, "database.connect_timeout", &v.ConnectTimeout, Duration(2*time.Second))
		fill(d, "database.statement_timeout", &v.StatementTimeout, Duration(time.Second))
		fill(d, "database.staleness", &v.Staleness, Duration(250*time.Millisecond))
	}

	fill(d, "log.level", &c.Log.Level, "info")
	fill(d, "log.format", &c.Log.Format, "json")
	fill(d, "admin.listen", &c.Admin.Listen, "127.0.0.1:9180")
	fill(d, "hashing.queue", &c.Hashing.Queue, 128)
	fill(d, "throttle.pair_burst", &c.Throttle.PairBurst, 10)

	fill(d, "throttle.pair_every", &c.Throttle.PairEvery, Duration(90*time.Second))
	fill(d, "throttle.account_burst", &c.Throttle.AccountBurst, 100)
	fill(d, "throttle.account_every", &c.Throttle.AccountEvery, Duration(time.Minute))
	fill(d, "throttle.source_burst", &c.Throttle.SourceBurst, 60)
	fill(d, "throttle.source_every", &c.Throttle.SourceEvery, Duration(15*time.Second))

	fill(d, "audit.keep", &c.Audit.Keep, Duration(90*day))
	fill(d, "cache.sessions", &c.Cache.Sessions, 200_000)
	fill(d, "shutdown.timeout", &c.Shutdown.Timeout, Duration(10*time.Second))
	algorithm := "EdDSA"
	if c.Issuer != nil {
		d.issuerDefaults(c.Issuer)
		algorithm = c.Issuer.Keys.Algorithm
	}

	for i := range c.Clients {
		s := c.Clients[i].KeySource
		if s != nil {
			fill(d, at("clients", i)+".key_source.format", &s.Format, "jwks")
		}
	}

	for i := range c.Services {
		d.serviceDefaults(at("services", i), &c.Services[i])
		t := c.Services[i].Tokens
		if t != nil {
			d.tokenDefaults(at("services", i)+".tokens", t, c.Services[i].Name, algorithm)
		}
	}
}

func (d *document) issuerDefaults(s *Issuer) {
	if !s.PlainHTTP {
		fill(d, "issuer.tls.cert", &s.TLS.Cert, "pubkey.pem")
		fill(d, "issuer.tls.key", &s.TLS.Key, "private.pem")
	}

	fill(d, "issuer.keys.algorithm", &s.Keys.Algorithm, "EdDSA")
	fill(d, "issuer.keys.rotate_every", &s.Keys.RotateEvery, Duration(30*day))
	fill(d, "issuer.keys.publish_for", &s.Keys.PublishFor, Duration(10*time.Minute))
}

func (d *document) tokenDefaults(path string, t *Tokens, service, algorithm string) {
	fill(d, path+".format", &t.Format, "jwt")
	fill(d, path+".audience", &t.Audience, service)
	fill(d, path+".algorithm", &t.Algorithm, algorithm)
	fill(d, path+".lifetime", &t.Lifetime, Duration(10*time.Minute))
}

func (d *document) serviceDefaults(path string, s *Service) {
	cookie := "jeton"
	if !s.PlainHTTP {
		cookie = "__Host-jeton"
		fill(d, path+".tls.cert", &s.TLS.Cert, "pubkey.pem")
		fill(d, path+".tls.key", &s.TLS.Key, "private.pem")
	}

	fill(d, path+".login.username_field", &s.Login.UsernameField, "username")
	fill(d, path+".login.password_field", &s.Login.PasswordField, "password")
	fill(d, path+".login.success", &s.Login.Success, "Logged in")
	fill(d, path+".session.cookie", &s.Session.Cookie, cookie)
	fill(d, path+".session.idle_timeout", &s.Session.IdleTimeout, Duration(time.Hour))

	fill(d, path+".session.lifetime", &s.Session.Lifetime, Duration(day))
	if s.UsersAPI != nil {
		fill(d, path+".users_api.prefix", &s.UsersAPI.Prefix, "/api/v1")
		fill(d, path+".users_api.admins", &s.UsersAPI.Admins, []string{"admin"})
	}

	fill(d, path+".session.when_full", &s.Session.WhenFull, "evict_oldest")

	for i := range s.Routes {
		r, path := &s.Routes[i], at(path+".routes", i)
		if r.Upstream != nil {
			fill(d, path+".upstream.timeout", &r.Upstream.Timeout, Duration(30*time.Second))
		}
		if r.Respond != nil {
			fill(d, path+".respond.status", &r.Respond.Status, 200)
		}
	}
}

package config

// requestsFile checks the file of requests.
func (c checker) requestsFile() {
	l := &c.conf.Log
	if !c.Has(&l.File) {
		return
	}

	c.notEmpty(&l.File)
	if l.Requests == "off" {
		c.Fault(&l.File, "set without log.requests, so it would stay empty; set that to refused or all, or remove it")
	}
}

// redirect checks the listener that sends browsers to https://.
func (c checker) redirect() {
	r := c.conf.Redirect
	if r == nil || !c.Valid(&r.Listen) || r.Listen == "" {
		return
	}

	c.listen(&r.Listen)
	c.notTaken(&r.Listen)

	secure := c.conf.Issuer != nil && !c.conf.Issuer.PlainHTTP
	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		secure = secure || !s.Forwarded() && !s.PlainHTTP
	}
	if !secure {
		c.Fault(r, "set, and no service and no issuer has TLS; remove it")
	}
}

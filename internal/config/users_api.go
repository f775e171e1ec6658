package config

import "strings"

// UsersAPI is the API of users, sessions and tokens at a service.
type UsersAPI struct {
	Prefix  string   `yaml:"prefix" doc:"Path that all its paths begin with."`
	Admins  []string `yaml:"admins" doc:"Groups whose members manage everybody. The others see and change themselves."`
	Clients []string `yaml:"clients" doc:"Names of clients that manage everybody, too."`
	Classic *Classic `yaml:"classic" doc:"The shape of the users API of old, for teaching clients: everybody who has proved who they are manages everybody. Named in the start-up log."`
}

// Classic is the shape of the users API of old.
type Classic struct {
	Auth            string   `yaml:"auth" enum:",auth,basic_auth,session_auth,session_exp_auth,session_db_auth" doc:"What callers prove themselves with. Empty: nothing, everything is open. auth: nothing that there is, so everything is closed. basic_auth: e-mail address and password. The others: a session, which ends with the server (session_auth), also by time (session_exp_auth), or outlives the server (session_db_auth)."`
	SessionDuration Duration `yaml:"session_duration" doc:"How long a session of session_exp_auth and session_db_auth is good. 0s: for as long as it is kept."`
}

// SessionsOf returns the name that the service's sessions are kept under. Those that end
// with the process have another than those that outlive it: no name of a service has a
// slash, so that the next process knows which to end.
func (s Service) SessionsOf() string {
	if s.UsersAPI == nil || s.UsersAPI.Classic == nil {
		return s.Name
	}

	switch s.UsersAPI.Classic.Auth {
	case "session_auth", "session_exp_auth":
		return s.OfProcess()
	}

	return s.Name
}

// OfProcess returns the name that sessions of the service are kept under when they end with
// the process.
func (s Service) OfProcess() string { return s.Name + "/process" }

// usersAPI checks the API of users at a service.
func (d *document) usersAPI(path string, s *Service) {
	u := s.UsersAPI
	d.doorPath(path+".prefix", u.Prefix)

	if strings.HasSuffix(u.Prefix, "/") {
		d.fault(path+".prefix", quote(u.Prefix)+" ends in a slash; a path such as /api/v1 is right")
	}
	if u.Classic != nil && !d.has(path+".classic.auth") {
		d.fault(
			path+".classic.auth",
			"missing, and without it everything would be open; write auth: \"\" where that is meant",
		)
	}
	if s.Session.MaxUses != nil {
		d.fault(path, "given next to session.max_uses, and its paths are not counted; keep one")
	}

	if s.Teaching != nil && s.Teaching.Cookies != nil {
		d.fault(path, "given next to teaching.cookies, and its login sets the one session cookie; keep one")
	}

	for i, r := range s.Routes {
		_, p, _ := strings.Cut(r.Match, "/")
		if strings.HasPrefix("/"+p, u.Prefix+"/") {
			d.fault(
				strings.TrimSuffix(path, ".users_api")+at(".routes", i)+".match",
				quote(r.Match)+" is under users_api.prefix; another path is right",
			)
		}
	}

	for i, g := range u.Admins {
		d.notEmpty(at(path+".admins", i), g)
	}

	for i, c := range u.Clients {
		d.notEmpty(at(path+".clients", i), c)
	}
}

// usersAPI takes everything under the prefix.
func (p *patterns) usersAPI(u *UsersAPI) {
	if u == nil || !strings.HasPrefix(
		u.Prefix,
		"/",
	) || strings.ContainsAny(u.Prefix, "{}") || strings.HasSuffix(u.Prefix, "/") {
		return
	}

	for _, method := range methods() {
		if method != "HEAD" { // it comes with GET
			_ = p.add(method+" "+u.Prefix+"/{rest...}", "users_api")
		}
	}
}

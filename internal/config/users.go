package config

import "github.com/jeton-auth/jeton"

// User is a declared user.
type User struct {
	Name             string   `yaml:"name" required:"true" doc:"Name to log in with."`
	PasswordHash     string   `yaml:"password_hash" absent:"see password_hash_file" doc:"Hash of the password, from 'jeton hash-password'."`
	PasswordHashFile string   `yaml:"password_hash_file" absent:"see password_hash" doc:"File with the password hash. Relative to this file."`
	Groups           []string `yaml:"groups" absent:"none" doc:"Groups of the user."`
	Disabled         bool     `yaml:"disabled" doc:"The user cannot log in and has no sessions."`
	Email            string   `yaml:"email" absent:"none" doc:"E-mail address. It must differ from all others by more than case."`
	FirstName        string   `yaml:"first_name" absent:"none" doc:"First name."`
	LastName         string   `yaml:"last_name" absent:"none" doc:"Last name."`
}

// Secret returns the password hash of the user. Load has read password_hash_file.
func (u User) Secret() jeton.Secret { return jeton.NewSecret(u.PasswordHash) }

// UsersAPI is the API of users, sessions and tokens at a service.
type UsersAPI struct {
	Prefix  string   `yaml:"prefix" default:"/api/v1" doc:"Prefix of all its paths."`
	Admins  []string `yaml:"admins" default:"[admin]" doc:"Groups whose members manage all users. Others see and change only themselves."`
	Clients []string `yaml:"clients" absent:"none" doc:"Names of clients that manage all users."`
	Classic *Classic `yaml:"classic" absent:"off" doc:"The classic users API for teaching clients: every authenticated caller manages all users. Logged at start-up."`
}

// Classic is the users API in the form that teaching clients use.
type Classic struct {
	Auth            string   `yaml:"auth" required:"true" enum:",auth,basic_auth,session_auth,session_exp_auth,session_db_auth" doc:"How callers authenticate. \"\": everything is open. auth: nothing is accepted. basic_auth: e-mail address and password. session_auth: a session that does not expire. session_exp_auth, session_db_auth: a session of session_duration."`
	SessionDuration Duration `yaml:"session_duration" default:"0s" doc:"Lifetime of a session of session_exp_auth or session_db_auth. 0s: it does not expire."`
}

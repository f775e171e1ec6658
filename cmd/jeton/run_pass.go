package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/pflag"
)

// The variables that a command of 'jeton run' gets.
const (
	envToken     = "JETON_TOKEN"
	envTokenFile = "JETON_TOKEN_FILE"
	envTokenFD   = "JETON_TOKEN_FD"
	envURL       = "JETON_URL"
	envCACert    = "JETON_CACERT"
	envRunVars   = "JETON_RUN_VARS"    // the names of all the others, with commas
	envBefore    = "JETON_RUN_BEFORE_" // and a name: what its value was before
)

// passing is how a command gets its token.
type passing struct {
	env     string // name of a variable; "": not in the environment
	fd      bool
	file    bool
	netrc   bool
	git     bool
	docker  bool
	kubectl bool
	proxy   bool

	hidden []string // names of variables that the command does not get

	dir    string // private, removed at the end; "": not made yet
	vars   []string
	listen *proxied
	pipes  []*os.File // to close once the command has them
}

func (p *passing) flags(f *pflag.FlagSet) {
	f.Var((*filledFlag)(&p.env), "env", "pass the token in this environment variable (default: JETON_TOKEN)")
	f.BoolVar(&p.fd, "fd", false, "pass the token in a file descriptor, whose number is in JETON_TOKEN_FD")
	f.BoolVar(&p.file, "file", false, "pass the token in a file, whose name is in JETON_TOKEN_FILE")
	f.BoolVar(&p.netrc, "netrc", false, "pass the token in a .netrc file, whose name is in NETRC")
	f.BoolVar(&p.git, "git", false, "pass the token to git, as the credential of the service alone")
	f.BoolVar(&p.docker, "docker", false, "pass the token to docker, as the credential of this registry")
	f.BoolVar(&p.kubectl, "kubectl", false, "pass the token to kubectl, as the user of this cluster")
	f.BoolVar(&p.proxy, "proxy", false, "pass no token: JETON_URL is a listener on this machine that adds it")
}

// check refuses ways that contradict each other.
func (p *passing) check() error {
	others := p.fd || p.file || p.netrc || p.git || p.docker || p.kubectl
	switch {
	case p.proxy && (others || p.env != ""):
		return usage{errors.New("--proxy keeps the token from the command: leave out the other ways to pass it")}
	case p.fd && runtime.GOOS == "windows":
		return usage{errors.New("--fd does not work on Windows; use --file")}
	case p.env != "" && !isVariable.MatchString(p.env):
		return usage{fmt.Errorf("invalid --env %q: want the name of a variable: letters, digits and _", p.env)}
	case interpreted(p.env):
		return usage{fmt.Errorf(
			"invalid --env %s: it has a meaning of its own to the system, a shell or jeton; use another, as %s",
			p.env, envToken,
		)}
	case !others && !p.proxy && p.env == "":
		p.env = envToken
	}

	return nil
}

// isVariable matches the name of an environment variable (POSIX, section 8.1; shells take small letters, too).
var isVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// interpreted reports whether programs other than the command act on a variable: the loader loads the code that it
// names, a shell runs or finds programs by it. Or it is one that 'jeton run' sets or removes itself.
func interpreted(name string) bool {
	name = strings.ToUpper(name) // on Windows, both are one variable
	for _, prefix := range []string{"LD_", "DYLD_", "BASH_", "GIT_", "JETON_RUN_", "JETON_WALLET_", "MALLOC_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}

	return slices.Contains([]string{
		"CDPATH", "COMSPEC", "DOCKER_CONFIG", "ENV", "GCONV_PATH", "GODEBUG", "HOME", "IFS", "JAVA_TOOL_OPTIONS",
		"KUBECONFIG", "LOCPATH", "NETRC", "NODE_OPTIONS", "OLDPWD", "OPTIND", "PATH", "PATHEXT", "PERL5LIB", "PERL5OPT",
		"PROMPT_COMMAND", "PS1", "PS2", "PS4", "PWD", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "RUBYLIB", "RUBYOPT",
		"SHELL", "SHELLOPTS", "SYSTEMROOT", "TEMP", "TERM", "TMP", "TMPDIR", "UID", "USER",
		envTokenFile, envTokenFD, envURL, envCACert, "JETON_HOME", "JETON_IDENTITY", "JETON_CONFIG", "JETON_DATA_DIR",
	}, name)
}

// prepare lets a command have the token of a lease. The function that it returns removes files and closes the listener,
// also after an error.
func (p *passing) prepare(l *wallet.Lease, c *exec.Cmd) (remove func(), err error) {
	if err := forgetOuter(); err != nil {
		return p.remove, err
	}

	base := string(l.Origin())
	if p.proxy {
		p.listen, err = listenFor(l)
		if err != nil {
			return p.remove, err
		}
		base = p.listen.base
	}

	p.set(envURL, base)
	if l.CACert() != "" && !p.proxy {
		if err := p.write(envCACert, "ca.pem", l.CACert()); err != nil {
			return p.remove, err
		}
	}

	secret := l.Secret().Reveal()
	if p.env != "" {
		p.set(p.env, secret)
	}
	if p.fd {
		err = p.pipe(c, secret)
	}
	if p.file && err == nil {
		err = p.write(envTokenFile, "token", secret)
	}
	if p.netrc && err == nil {
		err = p.writeNetrc(l)
	}
	if p.git && err == nil {
		err = p.setGit(l)
	}
	if p.docker && err == nil {
		err = p.setDocker(l)
	}
	if p.kubectl && err == nil {
		err = p.setKubectl(l)
	}

	p.set(envRunVars, strings.Join(p.names(), ","))
	c.Env = append(p.without(os.Environ()), p.vars...)

	return p.remove, err
}

// without returns the environment without variables of tokens, without what opens the wallet, and without what the
// tokens of a platform come from: the command is to have its token alone.
func (p *passing) without(environ []string) []string {
	ours := []string{
		envToken,
		envTokenFile,
		envTokenFD,
		envURL,
		envCACert,
		envRunVars,
		"JETON_WALLET_KEYRING",
		"JETON_WALLET_PASSPHRASE",
		"JETON_WALLET_PASSPHRASE_FILE",
	}

	if p.docker {
		ours = append(ours, envDockerAuth)
	}

	return slices.DeleteFunc(environ, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(ours, name) || slices.Contains(p.hidden, name)
	})
}

func (p *passing) set(name, value string) { p.vars = append(p.vars, name+"="+value) }

// replace sets a variable that may have a value of the user, which an inner 'jeton run' restores.
func (p *passing) replace(name, value string) {
	p.set(name, value)
	before, ok := os.LookupEnv(name)
	if ok {
		p.set(envBefore+name, before)
	}
}

// names returns the names of the variables that the command gets.
func (p *passing) names() []string {
	var list []string
	for _, pair := range p.vars {
		name, _, _ := strings.Cut(pair, "=")
		list = append(list, name)
	}

	return list
}

// write writes a file that only the user can read, and names it in a variable.
func (p *passing) write(variable, name, text string) error {
	if err := p.makeDir(); err != nil {
		return err
	}

	path := filepath.Join(p.dir, name)
	f, err := secretfile.Create(path)
	if err != nil {
		return err
	}

	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if variable != "" {
		p.set(variable, path)
	}

	return nil
}

// makeDir makes the private folder, unless it is there.
func (p *passing) makeDir() error {
	if p.dir != "" {
		return nil
	}

	dir, err := os.MkdirTemp("", "jeton-run-") // mode 0700
	p.dir = dir

	return err
}

// pipe writes the token into a pipe that the command inherits. It is far shorter than a pipe holds.
func (p *passing) pipe(c *exec.Cmd, secret string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p.pipes = append(p.pipes, r)

	_, err = w.WriteString(secret)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}

	c.ExtraFiles = append(c.ExtraFiles, r)
	// 0, 1 and 2 are the standard ones.
	p.set(envTokenFD, strconv.Itoa(2+len(c.ExtraFiles)))

	return nil
}

// started closes what only the command reads from now on.
func (p *passing) started() {
	for _, f := range p.pipes {
		_ = f.Close()
	}
	p.pipes = nil
}

// runName is the user name of Basic, where a token is the password. Jeton looks at the token alone.
const runName = "jeton"

func (p *passing) writeNetrc(l *wallet.Lease) error {
	line, err := netrcLine(credential{origin: l.Origin(), name: runName, token: l.Secret()})
	if err != nil {
		return err
	}

	if err := p.write("", "netrc", line+"\n"); err != nil {
		return err
	}
	p.replace("NETRC", filepath.Join(p.dir, "netrc"))

	return nil
}

// setGit configures git by its environment: for this service alone, the only helper is a file with the token.
func (p *passing) setGit(l *wallet.Lease) error {
	u, err := url.Parse(string(l.Origin()))
	if err != nil {
		return err
	}
	u.User = url.UserPassword(runName, l.Secret().Reveal())
	if err := p.write("", "git-credentials", u.String()+"\n"); err != nil {
		return err
	}

	// git runs a helper with a shell.
	file := "'" + strings.ReplaceAll(filepath.Join(p.dir, "git-credentials"), "'", `'\''`) + "'"
	settings := [][2]string{
		{"credential." + string(l.Origin()) + ".helper", ""}, // none of the other helpers
		{"credential." + string(l.Origin()) + ".helper", "store --file=" + file},
	}
	if l.CACert() != "" {
		settings = append(settings, [2]string{
			"http." + string(l.Origin()) + ".sslCAInfo", filepath.Join(p.dir, "ca.pem"),
		})
	}

	n, _ := strconv.Atoi(os.Getenv(envGitCount)) // 0: none, or not valid for git either
	for _, s := range settings {
		p.set(envGitKey+strconv.Itoa(n), s[0])
		p.set(envGitValue+strconv.Itoa(n), s[1])
		n++
	}
	p.set(envGitCount, strconv.Itoa(n))

	return nil
}

// seen returns what the listener has seen, or nil without one.
func (p *passing) seen() *proxied { return p.listen }

// remove removes the files and closes the listener.
func (p *passing) remove() {
	p.started()
	if p.listen != nil {
		p.listen.close()
	}
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

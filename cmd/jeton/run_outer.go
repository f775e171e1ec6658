package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"
)

// The variables that configure git (see git-config): a number of settings, and each of them.
const (
	envGitCount = "GIT_CONFIG_COUNT"
	envGitKey   = "GIT_CONFIG_KEY_"
	envGitValue = "GIT_CONFIG_VALUE_"
)

// outer is the token of the command that this program runs in.
type outer struct {
	secret jeton.Secret
	caCert string
}

// outerToken returns the token that an outer 'jeton run' has passed on for a service, or nil.
func outerToken(service string) (*outer, error) {
	text := os.Getenv(envToken)
	file := os.Getenv(envTokenFile)
	if text == "" && file == "" || os.Getenv(envURL) == "" {
		return nil, nil
	}

	// Of another service: the wallet may have an identity there.
	asked, err := wallet.ParseOrigin(service)
	if err != nil {
		return nil, err
	}
	passed, err := wallet.ParseOrigin(os.Getenv(envURL))
	if err != nil || passed != asked {
		return nil, nil
	}

	if text == "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envTokenFile, err)
		}
		text = strings.TrimSpace(string(b))
	}

	out := &outer{secret: jeton.NewSecret(text)}
	ca := os.Getenv(envCACert)
	if ca != "" {
		b, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", envCACert, err)
		}
		out.caCert = string(b)
	}

	return out, nil
}

// inRun reports whether this program is in a command of 'jeton run'.
func inRun() bool { return os.Getenv(envRunVars) != "" }

// forgetOuter removes from the environment what an outer 'jeton run' has passed on, whose token may be wider than that
// of the command.
func forgetOuter() error {
	passed := strings.Split(os.Getenv(envRunVars), ",")
	if slices.Contains(passed, envTokenFD) {
		keepFromCommand(os.Getenv(envTokenFD))
	}

	var settings [][2]string
	if slices.Contains(passed, envGitCount) {
		settings = ownGit(passed)
	}

	var errs []error
	for _, name := range passed {
		before, replaced := os.LookupEnv(envBefore + name)
		switch {
		case name == "":
		case replaced && slices.Contains(passed, envBefore+name):
			errs = append(errs, os.Setenv(name, before))
		default:
			errs = append(errs, os.Unsetenv(name))
		}
	}

	for n, s := range settings {
		errs = append(
			errs,
			os.Setenv(envGitKey+strconv.Itoa(n), s[0]),
			os.Setenv(envGitValue+strconv.Itoa(n), s[1]),
			os.Setenv(envGitCount, strconv.Itoa(n+1)),
		)
	}

	return errors.Join(errs...)
}

// ownGit returns the settings of git that are not in a list of variables.
func ownGit(passed []string) [][2]string {
	count, _ := strconv.Atoi(os.Getenv(envGitCount))

	var list [][2]string
	for n := range count {
		name := envGitKey + strconv.Itoa(n)
		key, ok := os.LookupEnv(name)
		if !ok {
			break // not valid for git either
		}
		if !slices.Contains(passed, name) {
			list = append(list, [2]string{key, os.Getenv(envGitValue + strconv.Itoa(n))})
		}
	}

	return list
}

package wallet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Platform is what gives a token to software that runs there.
type Platform string

// The platforms.
const (
	PlatformGitHub     Platform = "github"     // GitHub Actions; the job needs the permission id-token: write
	PlatformGitLab     Platform = "gitlab"     // an id_token of GitLab CI/CD, in a variable
	PlatformKubernetes Platform = "kubernetes" // a projected token of a service account, in a file
	PlatformFile       Platform = "file"       // any other token in a file, such as a JWT-SVID
)

// Workload is where the token is that a platform gives to software. The token is read at each login and renewal, and
// never stored.
type Workload struct {
	Platform Platform `json:"platform"`
	// Source is the variable of GitLab, by default JETON_ID_TOKEN, or the file: by default KubernetesTokenFile, and
	// required with PlatformFile.
	Source string `json:"source,omitempty"`
	// Client is the client to act as, if a token is for several; by default the issuer chooses it.
	Client string `json:"client,omitempty"`
}

// KubernetesTokenFile is where the guide mounts the token of a service account.
const KubernetesTokenFile = "/var/run/secrets/jeton/token"

// The variables that GitHub Actions gives a job with the permission id-token: write.
const (
	gitHubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	gitHubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// gitLabVariable is the variable that the guide gives the id_token of a job.
const gitLabVariable = "JETON_ID_TOKEN"

// applyWorkload copies the workload of a login into its entry. Entries share what e.Key points to, so it is replaced
// and not changed.
func (in Login) applyWorkload(e *entry) error {
	if in.Workload == nil {
		return nil
	}

	otherwise := in.Key != "" || in.SignIn != nil || !in.Token.IsZero() || !in.Password.IsZero() || in.Save ||
		len(in.Command) > 0 || in.KeyID != "" || in.Algorithm != ""
	if otherwise {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"workload conflicts with a key, token, password, command and sign-in; keep one",
		)
	}

	load := *in.Workload
	var err error
	switch load.Platform {
	case PlatformGitHub:
		load.Source = ""
	case PlatformGitLab:
		load.Source = cmp.Or(load.Source, gitLabVariable)
	case PlatformKubernetes, PlatformFile:
		if load.Platform == PlatformKubernetes {
			load.Source = cmp.Or(load.Source, KubernetesTokenFile)
		}
		if load.Source == "" {
			return jeton.WithDetail(jeton.ErrInvalid, "source is missing: want the file with the token of the platform")
		}
		load.Source, err = filepath.Abs(load.Source)
	default:
		err = jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("invalid platform %.40q: want github, gitlab, kubernetes or file", load.Platform),
		)
	}
	if err != nil {
		return err
	}

	var s software
	if e.Key != nil && e.Key.Workload != nil {
		s = *e.Key
	}
	s.Workload = &load
	if in.Scope != nil {
		s.Scope = slices.Clone(in.Scope)
	}

	e.Key = &s
	e.SignIn = nil
	e.Foreign = nil
	e.Source = source{}
	e.Cookies = nil

	return nil
}

// PlatformVariables returns the names of the environment variables that the tokens of the identity's platform come
// from: none but with KindWorkload. With them, other software could exchange a token for one without the terms of a
// lease.
func (id *Identity) PlatformVariables() []string {
	e := id.view().e
	if e.Key == nil || e.Key.Workload == nil {
		return nil
	}

	switch e.Key.Workload.Platform {
	case PlatformGitHub:
		return []string{gitHubURL, gitHubToken}
	case PlatformGitLab:
		return []string{e.Key.Workload.Source}
	}

	return nil
}

// proveWorkload exchanges the token of the platform for one of e (RFC 7523, section 2.1) and stores it in e.
func (w *Wallet) proveWorkload(ctx context.Context, e *entry) error {
	load := *e.Key.Workload
	proof, err := w.workloadToken(ctx, e, load)
	if err != nil {
		return fmt.Errorf("token of the platform %s: %w", load.Platform, err)
	}

	form := e.Key.tokenForm("urn:ietf:params:oauth:grant-type:jwt-bearer")
	form.Set("assertion", proof)
	if load.Client != "" {
		form.Set("client_id", load.Client)
	}

	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	// Before the request: the token then expires for the wallet earlier than for the issuer.
	at := w.now()
	resp, err := w.read(ctx, e, http.MethodPost, e.Key.TokenURL, form)
	if err == nil {
		err = issuerRefusal(resp.Response, resp.text, w.now())
	}
	if err != nil {
		return fmt.Errorf("exchange the token of the platform %s at %s: %w", load.Platform, e.Key.Issuer, err)
	}

	got, err := parseToken(resp.text, at)
	if err != nil {
		return err
	}

	// A copy: other goroutines read what e.Key points to without a lock.
	s := *e.Key
	s.take(got)
	e.Key = &s
	e.renewed(got)

	return nil
}

// workloadToken returns the token that the platform gives, for the issuer of e.
func (w *Wallet) workloadToken(ctx context.Context, e *entry, load Workload) (string, error) {
	var text string
	var err error
	switch load.Platform {
	case PlatformGitHub:
		text, err = w.gitHubToken(ctx, e.Key.Issuer)
	case PlatformGitLab:
		text = w.getenv(load.Source)
		if text == "" {
			err = jeton.WithDetail(jeton.ErrNotFound, fmt.Sprintf(
				"the variable %s is not set; give the job an id_token of this name with aud: %s",
				load.Source, e.Key.Issuer,
			))
		}
	default:
		text, err = readWorkloadFile(load.Source)
	}
	if err != nil {
		return "", err
	}

	text = strings.TrimSpace(text)
	if !isToken(text) {
		where := cmp.Or(load.Source, "the response of the platform")
		return "", jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid token in %s: want a JWT alone", where))
	}

	return text, nil
}

// gitHubToken requests a token of GitHub Actions for an audience.
func (w *Wallet) gitHubToken(ctx context.Context, audience string) (string, error) {
	address, token, err := w.gitHubRequest(audience)
	if err != nil {
		return "", err
	}

	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "jeton-wallet")

	// The certificate of the identity is that of its service and issuer, and not of the platform.
	plain, err := w.transportFor("")
	if err != nil {
		return "", err
	}
	resp, err := bearer{token, plain}.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer drain(resp.Body)

	var answer struct {
		Value string `json:"value"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil {
		return "", jeton.WithDetail(
			jeton.ErrUnavailable, fmt.Sprintf("GitHub Actions answered with status %d and no token", resp.StatusCode),
		)
	}

	return answer.Value, nil
}

// gitHubRequest returns where GitHub Actions gives a job a token for an audience, and the bearer token of that request.
func (w *Wallet) gitHubRequest(audience string) (string, jeton.Secret, error) {
	address := w.getenv(gitHubURL)
	token := jeton.NewSecret(w.getenv(gitHubToken))
	if address == "" || token.IsZero() {
		return "", token, jeton.WithDetail(
			jeton.ErrNotFound,
			"ACTIONS_ID_TOKEN_REQUEST_URL or ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set; "+
				"give the job of GitHub Actions the permission id-token: write",
		)
	}

	u, err := url.Parse(address)
	if err != nil {
		return "", token, jeton.WithDetail(jeton.ErrInvalid, "invalid ACTIONS_ID_TOKEN_REQUEST_URL: want a URL")
	}
	o, err := originOf(u)
	if err == nil {
		err = o.allow(w.allowHTTP)
	}
	if err != nil {
		return "", token, fmt.Errorf("ACTIONS_ID_TOKEN_REQUEST_URL: %w", err)
	}

	query := u.Query()
	query.Set("audience", audience)
	u.RawQuery = query.Encode()

	return u.String(), token, nil
}

// readWorkloadFile reads a token. Its mode does not matter: a platform mounts it for every user of a container.
func readWorkloadFile(path string) (string, error) {
	text, err := readRegular(path, maxToken+2, func(fs.FileInfo) error { return nil }) // with a line break
	return string(text), err
}

// endWorkload revokes the token of e, with itself as the credential: the client has no other one here.
func (w *Wallet) endWorkload(ctx context.Context, e *entry) error {
	token := jeton.NewSecret(e.Key.Token)
	at, err := w.endpointWith(string(e.Origin), token, e.CACert)
	if err != nil {
		return err
	}

	var end jeton.TokenEnd
	err = at.post(ctx, bearer{token, at.plain}, tokenEndPath, struct{}{}, &end)
	if err != nil {
		return fmt.Errorf("revoke the token: %w", err)
	}

	return nil
}

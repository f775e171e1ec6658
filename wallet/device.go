package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/jeton-auth/jeton"
)

const (
	// pollEvery is how often the issuer is asked, unless it names another time (RFC 8628, section 3.2). Each slow_down
	// adds as much (section 3.5).
	pollEvery = 5 * time.Second
	// pollLeast and pollMost bound the time that an issuer names.
	pollLeast = time.Second
	pollMost  = time.Minute
)

// The answers to a device whose user has not answered yet (RFC 8628, section 3.5).
var (
	errPending  = fmt.Errorf("%w: the user has not answered yet", jeton.ErrTooEarly)
	errSlowDown = fmt.Errorf("%w: the issuer is asked too often", jeton.ErrTooMany)
)

// deviceCodes is the answer of the device authorization endpoint (RFC 8628, section 3.2).
type deviceCodes struct {
	Device   string  `json:"device_code"`
	User     string  `json:"user_code"`
	URL      string  `json:"verification_uri"`
	Complete string  `json:"verification_uri_complete"`
	Interval float64 `json:"interval"` // seconds
}

// byDevice signs the user in with a code that is typed into a browser on any machine, and calls keep with the ID
// token.
func (f *signInFlow) byDevice(ctx context.Context, keep func(idToken string) error) error {
	if f.provider.Device == "" {
		return jeton.WithDetail(jeton.ErrNotFound, "the issuer has no device grant; sign in with a browser here")
	}

	form := url.Values{"scope": {f.scope()}}
	f.addResource(form)
	text, err := f.w.postPublic(ctx, f.e, f.provider.Device, form)
	if err != nil {
		return err
	}

	codes, err := parseDevice(text)
	if err != nil {
		return err
	}
	if err := f.in.Device(ctx, DeviceCode{codes.URL, codes.User, codes.Complete}); err != nil {
		return fmt.Errorf("show the code: %w", err)
	}

	idToken, err := f.poll(ctx, codes)
	if err != nil {
		return err
	}

	return keep(idToken)
}

// poll asks for the tokens until the user has answered.
func (f *signInFlow) poll(ctx context.Context, codes deviceCodes) (string, error) {
	every := pollEvery
	if codes.Interval > 0 {
		every = time.Duration(min(codes.Interval, pollMost.Seconds()) * float64(time.Second))
	}

	for {
		wait := time.NewTimer(max(every, pollLeast))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return "", fmt.Errorf("wait for the user: %w", ctx.Err())
		}

		form := url.Values{
			"grant_type":  {"urn:ietf:params:oauth:grant-type:device_code"},
			"device_code": {codes.Device},
		}
		f.addResource(form)
		idToken, err := f.w.redeem(ctx, f.e, form)

		switch {
		case err == nil:
			return idToken, f.checkID(idToken, "")
		case errors.Is(err, errSlowDown):
			every = min(every+pollEvery, pollMost)
		case !errors.Is(err, errPending):
			return "", err
		}
	}
}

// parseDevice parses the codes. What is shown to the user is printable, and its address one of the web.
func parseDevice(text []byte) (deviceCodes, error) {
	var d deviceCodes
	if len(text) > maxAnswer || json.Unmarshal(text, &d) != nil || d.Device == "" || !shown(d.User, 64) {
		return d, jeton.WithDetail(jeton.ErrInvalid, "the issuer returned invalid device codes")
	}

	for _, address := range []string{d.URL, d.Complete} {
		if address == "" && d.URL != "" {
			continue
		}
		u, err := url.Parse(address)
		if err != nil || !shown(address, 2048) || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return d, jeton.WithDetail(jeton.ErrInvalid, "the issuer returned an invalid address for the device code")
		}
	}

	return d, nil
}

// shown reports whether a terminal shows a text as it is.
func shown(text string, longest int) bool {
	other := func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }
	return text != "" && len(text) <= longest && !strings.ContainsFunc(text, other)
}

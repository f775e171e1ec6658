package oauth

import (
	"net/http"
	"net/url"
	"time"

	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// pathDevicePage is the page into which a user types the code that a device shows.
const pathDevicePage = "/device"

// deviceAnswer is the answer of the device authorization endpoint (RFC 8628, section 3.2).
type deviceAnswer struct {
	Code     string `json:"device_code"`
	UserCode string `json:"user_code"`
	Page     string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int64  `json:"expires_in"` // seconds
	Interval int64  `json:"interval"`   // seconds
}

// deviceAuthorization answers POST /oauth2/device_authorization (RFC 8628, section 3.1): a client gets a code for a
// device, and one for its user.
func (s *Server) deviceAuthorization(w *web.Reply, r *http.Request) error {
	form, credential, err := s.readClient(w, r, audit.DeviceBegin)
	if err != nil {
		return err
	}
	// Before anything is refused: the script reads why.
	if err := s.readable(w, r, credential.ClientID); err != nil {
		return err
	}

	begun, err := s.logins.BeginDevice(r.Context(), signin.DeviceRequest{
		Credential: credential,
		Scopes:     scopes(form),
		Resources:  audience(form),
		Targets:    s.targets,
		Source:     w.Source,
		Request:    w.ID,
	})
	if err != nil {
		return err
	}

	page := s.conf.URL + pathDevicePage
	w.Header()["Cache-Control"] = noStore

	return web.JSON(w, http.StatusOK, deviceAnswer{
		Code:     begun.Code.Reveal(),
		UserCode: begun.UserCode,
		Page:     page,
		Complete: page + "?" + url.Values{"user_code": {begun.UserCode}}.Encode(),
		Expires:  int64(signin.DeviceLifetime / time.Second),
		Interval: int64(signin.DeviceInterval / time.Second),
	})
}

package api

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// LoadedConfig is the configuration that a server has loaded, and what a reload of its file would
// change.
type LoadedConfig struct {
	Path    string         `json:"path,omitempty" jsonschema:"Absolute path of the file; absent: there is none"`
	Pending []ConfigChange `json:"pending" jsonschema:"What a reload would change beside users and clients"`
}

// ConfigChange is a difference between a file and what is in effect.
type ConfigChange struct {
	Action string   `json:"action" jsonschema:"add, change, remove, or adopt: it becomes declared"`
	Kind   string   `json:"kind" jsonschema:"user, client, service or setting"`
	Name   string   `json:"name"`
	Fields []string `json:"fields,omitempty" jsonschema:"Keys that differ"`
	Effect string   `json:"effect,omitempty" jsonschema:"What else happens, such as that sessions end"`
}

var (
	readConfigDoc = Doc{
		Summary: "Get the path of the configuration file, and what a reload of it would change.",
		Out:     LoadedConfig{},
		Status:  200,
		Fails:   []int{404},
	}
	readyDoc = Doc{
		Summary: "Get whether the server should get requests: it is not stopping, and its database works.",
		Status:  204,
		Fails:   []int{404, 503},
	}
	reloadDoc = Doc{
		Summary: "Read the configuration file again and apply it, as SIGHUP does. An invalid file changes nothing.",
		Status:  204,
		Fails:   []int{404},
	}
)

// readConfig answers GET /config.
func (a *API) readConfig(w *web.Reply, _ *http.Request, _ caller) error {
	if a.Loaded == nil {
		return jeton.WithDetail(jeton.ErrNotFound, "no server is running")
	}

	loaded, err := a.Loaded()
	if err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, err.Error())
	}

	return web.JSON(w, http.StatusOK, loaded)
}

// ready answers GET /ready, as /readyz of the admin listener does.
func (a *API) ready(w *web.Reply, r *http.Request, _ caller) error {
	if a.Ready == nil {
		return jeton.WithDetail(jeton.ErrNotFound, "no server is running")
	}
	if err := a.Ready(r.Context()); err != nil {
		return jeton.WithDetail(jeton.ErrUnavailable, err.Error())
	}

	return web.NoContent(w)
}

// reload answers POST /config/reload. The caller is an operator, who may read the file: the text of
// the error is for the caller.
func (a *API) reload(w *web.Reply, r *http.Request, _ caller) error {
	if a.Reload == nil {
		return jeton.WithDetail(jeton.ErrNotFound, "no server is running")
	}
	if err := a.Reload(r.Context()); err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, err.Error())
	}

	return web.NoContent(w)
}

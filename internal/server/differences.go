package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/store/move"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

// Plan is the difference between a configuration file and the database: what a start, a reload or
// Apply would change.
type Plan struct {
	Changes []api.ConfigChange `json:"changes"`
	// Users and Clients are the names of those that no file declares, and that stay as they are.
	Users   []string `json:"undeclared_users"`
	Clients []string `json:"undeclared_clients"`
}

// effects are what a change of users or clients has beside it.
var effects = map[string]string{
	audit.UserRemove:   "all sessions and tokens end",
	audit.ClientRemove: "all tokens end",
}

// PlanConfig compares the users and clients of the file with the database. It only reads, and a server
// may be running. It returns jeton.ErrNotFound if there is no database.
func PlanConfig(ctx context.Context, c Config) (Plan, error) {
	c = c.withDefaults()
	out := Plan{Changes: []api.ConfigChange{}, Users: []string{}, Clients: []string{}}

	users, err := declared(c.File)
	if err != nil {
		return out, err
	}
	clients, err := (&core{dir: &dataDir{path: c.DataDir}}).declaredClients(c.File)
	if err != nil {
		return out, err
	}

	from, err := c.openToRead(ctx)
	if err != nil {
		return out, err
	}

	found, err := move.PlanDeclared(ctx, from, users, clients)
	if err := errors.Join(err, from.Close()); err != nil {
		return out, err
	}

	out.Users = append(out.Users, found.UndeclaredUsers...)
	for _, name := range found.UndeclaredClients {
		c := client.Client{Name: name}
		if !c.Described() { // no file can declare one that is
			out.Clients = append(out.Clients, name)
		}
	}
	for _, p := range found.Users {
		out.Changes = append(out.Changes, changeOf("user", p))
	}
	for _, p := range found.Clients {
		out.Changes = append(out.Changes, changeOf("client", p))
	}

	return out, nil
}

// openToRead opens the configured database, which a server may use.
func (c Config) openToRead(ctx context.Context) (side, error) {
	if err := c.mustExist(); err != nil {
		return nil, err
	}
	if c.File.Database != nil {
		return postgres.OpenSide(ctx, sharedDatabase(c, c.File))
	}

	return sqlite.ReadSide(ctx, DataFile(c.DataDir))
}

// changeOf describes a step.
func changeOf(kind string, p move.Planned) api.ConfigChange {
	c := api.ConfigChange{
		Kind:   kind,
		Name:   p.Name,
		Fields: p.Fields,
		Effect: effects[p.Action],
	}

	_, c.Action, _ = strings.Cut(p.Action, ".") // user.add
	switch {
	case p.Adopts && kind == "user":
		c.Action, c.Effect = "adopt", "all sessions and tokens end"
	case p.Adopts:
		c.Action = "adopt"
	case kind == "user" && (slices.Contains(p.Fields, "password_hash") || slices.Contains(p.Fields, "disabled")):
		c.Effect = "all sessions and tokens end"
	}

	return c
}

// ApplyConfig makes the users and clients of the file those of the database. No server may be running:
// one applies its file by a reload. It returns what it has changed.
func ApplyConfig(ctx context.Context, c Config) (Plan, error) {
	c = c.withDefaults()
	plan, err := PlanConfig(ctx, c)
	if err != nil {
		return plan, err
	}

	dir, err := lockDataDir(c.DataDir)
	if err != nil {
		return plan, err
	}

	k, err := openCore(ctx, c, c.File, dir)
	if err != nil {
		return plan, err
	}
	defer k.close()

	users, err := declared(c.File)
	if err != nil {
		return plan, err
	}
	clients, err := k.declaredClients(c.File)
	if err != nil {
		return plan, err
	}
	if err := k.accounts.Declare(ctx, users); err != nil {
		return plan, err
	}

	return plan, k.clients.Declare(ctx, clients)
}

// loaded returns the configuration of a running server, and what its file would change beside users
// and clients.
func (s *Server) loaded() (api.LoadedConfig, error) {
	current := s.current()
	out := api.LoadedConfig{Pending: []api.ConfigChange{}}
	if current.Path == "" || s.c.Load == nil {
		return out, nil
	}

	path, err := filepath.Abs(current.Path)
	if err != nil {
		return out, err
	}
	out.Path = path

	fresh, err := s.c.Load()
	if err != nil {
		return out, err
	}

	services, err := pendingServices(current.Services, fresh.Services)
	if err != nil {
		return out, err
	}
	settings, err := pendingSettings(current, fresh)
	if err != nil {
		return out, err
	}
	out.Pending = append(append(out.Pending, services...), settings...)

	return out, nil
}

// pendingServices compares services by their names.
func pendingServices(current, fresh []config.Service) (list []api.ConfigChange, err error) {
	before := map[string]config.Service{}
	for _, s := range current {
		before[s.Name] = s
	}

	for _, s := range fresh {
		old, ok := before[s.Name]
		delete(before, s.Name)
		if !ok {
			list = append(list, api.ConfigChange{Action: "add", Kind: "service", Name: s.Name})
			continue
		}

		fields, err := differentKeys(reflect.ValueOf(old), reflect.ValueOf(s))
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
		if len(fields) > 0 {
			change := api.ConfigChange{
				Action: "change",
				Kind:   "service",
				Name:   s.Name,
				Fields: fields,
			}
			list = append(list, change)
		}
	}

	for _, s := range current { // in the order of the file
		_, gone := before[s.Name]
		if gone {
			list = append(list, api.ConfigChange{Action: "remove", Kind: "service", Name: s.Name})
		}
	}

	return list, nil
}

// restart lists the settings that a reload does not apply, of those that are not for parts of a mapping.
var restart = map[string]bool{
	"hashing":          true,
	"throttle":         true,
	"audit":            true,
	"cache":            true,
	"data_dir":         true,
	"database":         true,
	"keys_secret_file": true,
}

// pendingSettings compares everything but services, users and clients.
func pendingSettings(current, fresh *config.Config) (list []api.ConfigChange, err error) {
	names, err := differentKeys(reflect.ValueOf(*current), reflect.ValueOf(*fresh))
	for _, name := range names {
		if name == "services" || name == "users" || name == "clients" {
			continue
		}

		change := api.ConfigChange{Action: "change", Kind: "setting", Name: name}
		if restart[name] {
			change.Effect = "needs a restart"
		}
		list = append(list, change)
	}

	return list, err
}

// differentKeys returns the keys of the file whose values differ in two structs of package config. Values
// are compared as JSON, in which a jeton.Secret has no text: what files with secrets contain is not seen.
func differentKeys(a, b reflect.Value) (names []string, err error) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "-" || name == "" {
			continue
		}

		x, err := json.Marshal(a.Field(i).Interface())
		if err != nil {
			return nil, err
		}
		y, err := json.Marshal(b.Field(i).Interface())
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(x, y) {
			names = append(names, name)
		}
	}

	return names, nil
}

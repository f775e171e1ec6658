package jetontest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"sync"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/server"
)

// schema is the file of a database that has its tables and no rows but the id. To make the tables takes a
// third of the time of a start, so servers get a copy.
var schema = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "jeton-schema-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	conf := server.Config{DataDir: dir, File: &config.Config{}, Create: true}
	_, err = server.Migrate(context.Background(), conf, false)
	if err != nil {
		return nil, err
	}

	return os.ReadFile(server.DataFile(dir))
})

// databaseID is the id of a database in its file: the name of the setting, and its value.
var databaseID = regexp.MustCompile(`id[0-9a-f]{32}`)

// addSchema puts a database without users into a new data directory.
func addSchema(dir string) error {
	file, err := schema()
	if err != nil {
		return err
	}

	// No two databases have the same id.
	if len(databaseID.FindAllIndex(file, 2)) != 1 {
		return errors.New("the file of the schema does not have one id")
	}
	id := make([]byte, 16)
	rand.Read(id) // never returns an error
	own := databaseID.ReplaceAllLiteral(file, []byte("id"+hex.EncodeToString(id)))

	err = os.MkdirAll(dir, 0o700)
	if err != nil {
		return err
	}

	f, err := secretfile.Create(server.DataFile(dir))
	if err != nil {
		return err
	}
	_, err = f.Write(own)

	return errors.Join(err, f.Close())
}

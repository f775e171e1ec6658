// Command print writes the counts of package measure for the trees that it is
// given, a column each, as a table in Markdown. scripts/measure.sh runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/jeton-auth/jeton/internal/test/measure"
)

func main() {
	err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(dirs []string) error {
	var columns []measure.Column

	for _, dir := range dirs {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return err
		}

		files, err := measure.Read(dir)
		if err != nil {
			return err
		}

		columns = append(columns, measure.Column{Name: filepath.Base(dir), Numbers: measure.Sum(files)})
	}

	return measure.Print(os.Stdout, columns)
}

//go:build !walletonly

package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/api"
)

// readAll returns the rows of a file of users, each as a line of text.
func readAll(t *testing.T, file, name, format string) ([]string, error) {
	t.Helper()
	p, err := openUsers(strings.NewReader(file), name, format)
	if err != nil {
		return nil, err
	}

	var list []string
	for {
		row, _, err := p.next()
		var one fault
		switch {
		case errors.Is(err, io.EOF):
			return list, nil
		case errors.As(err, &one):
			list = append(list, row.Name+" refused: "+one.Error())
		case err != nil:
			return list, err
		default:
			list = append(list, rowText(row))
		}
	}
}

// rowText shows a row on one line; - is a member that the file does not have.
func rowText(row api.Moved) string {
	text := row.Name + "|" + row.Email + "|" + row.First + "|" + row.Last + "|"
	if row.Groups != nil {
		text += strings.Join(*row.Groups, " ")
	} else {
		text += "-"
	}

	text += "|" + row.Hash + "|"
	switch {
	case row.Disabled == nil:
		return text + "-"
	case *row.Disabled:
		return text + "disabled"
	}

	return text + "enabled"
}

func TestUsersAreReadFromEveryFormat(t *testing.T) {
	for _, tc := range []struct {
		name, file, path, format string
		want                     []string
		err                      string
	}{
		{
			"CSV with every column",
			"name,email,first_name,last_name,groups,password_hash,disabled\n" +
				"diane,d@x.org,Di,\"Prince, of T.\",a;b,$5$x,yes\n",
			"p.csv",
			"",
			[]string{"diane|d@x.org|Di|Prince, of T.|a b|$5$x|disabled"},
			"",
		},
		{
			"CSV with only names, recognised by its first line",
			"name\r\ndiane\r\n\r\ncarl\r\n",
			"-",
			"",
			[]string{"diane||||-||-", "carl||||-||-"},
			"",
		},
		{
			"CSV with semicolons, as a spreadsheet saves it",
			"name;email;groups\r\ndiane;d@x.org;\"a;b\"\r\ncarl;\"c,d\";a,b\r\n",
			"p.csv",
			"",
			[]string{"diane|d@x.org|||a b||-", "carl|c,d|||a b||-"},
			"",
		},
		{
			"CSV with tabs",
			"email\tname\nd@x.org\tdiane\n",
			"p.tsv",
			"",
			[]string{"diane|d@x.org|||-||-"},
			"",
		},
		{
			"CSV with semicolons, recognised by its first line",
			"name;groups\ndiane;\n",
			"-",
			"",
			[]string{"diane||||-||-"},
			"",
		},
		{
			"two separators in the first line",
			"name;email,groups\ndiane;;\n",
			"p.csv",
			"",
			nil,
			`unknown column "name;email"`,
		},
		{
			"CSV behind a byte order mark",
			"\xef\xbb\xbfname,disabled\ndiane,false\n",
			"x",
			"",
			[]string{"diane||||-||enabled"},
			"",
		},
		{
			"a quote that is not closed refuses one row",
			"name,email\n\"diane,x\ncarl,\n",
			"p.csv",
			"",
			[]string{" refused: invalid CSV: a quote is missing or misplaced", "carl||||-||-"},
			"",
		},
		{
			"a cell too few and one too many",
			"name,email\ndiane\ncarl,a,b\n",
			"p.csv",
			"",
			[]string{
				"diane refused: the row has 1 cells, want 2 as in the first line",
				"carl refused: the row has 3 cells, want 2 as in the first line",
			},
			"",
		},
		{
			"neither yes nor no",
			"name,disabled\ndiane,perhaps\n",
			"p.csv",
			"",
			[]string{`diane refused: invalid disabled "perhaps": want true or false`},
			"",
		},
		{"a name that begins with #", "name\n#diane\n", "p.csv", "", []string{"#diane||||-||-"}, ""},
		{
			"a column of passwords",
			"name,password\ndiane,hunter2\n",
			"p.csv",
			"",
			nil,
			"plain passwords are not imported",
		},
		{"an unknown column", "name,mail\n", "p.csv", "", nil, `unknown column "mail"`},
		{"a column twice", "name,name\n", "p.csv", "", nil, "duplicate column"},
		{"no names", "email\n", "p.csv", "", nil, "no column name"},
		{"an empty file", "", "p.csv", "", nil, "is empty"},
		{"an unknown file", "hello\n", "p", "", nil, "unknown file format"},
		{"an unknown format", "name\n", "p", "xml", nil, "invalid --format"},

		{
			"JSON lines",
			`{"name":"diane","groups":[],"disabled":false,"password_hash":"$5$x"}` + "\n" + `{"name":"carl"}`,
			"-",
			"",
			[]string{"diane|||||$5$x|enabled", "carl||||-||-"},
			"",
		},
		{
			"JSON with a password",
			`{"name":"diane","password":"hunter2"}`,
			"p.jsonl",
			"",
			[]string{"diane refused: " + errPlain.Error()},
			"",
		},
		{
			"JSON with an unknown member",
			`{"name":"diane","x":1}`,
			"p.jsonl",
			"",
			[]string{`diane refused: json: unknown field "x"`},
			"",
		},
		{
			"other JSON",
			`{"name":7}` + "\nhunter2\n{}{}\n",
			"p.jsonl",
			"",
			[]string{
				` refused: member "name": want string`,
				" refused: invalid JSON object",
				" refused: more than one JSON object on the line",
			},
			"",
		},
		{"a JSON list", "[\n{}]", "p.json", "", nil, "one object per line"},

		{"htpasswd", "# ours\ndiane:$apr1$x$y\ncarl:{SHA}x=:a comment\nzoe:plain:text\n", ".htpasswd", "",
			[]string{"diane||||-|$apr1$x$y|-", "carl||||-|{SHA}x=|-", "zoe||||-|plain:text|-"}, ""},
		{
			"htpasswd, recognised by its first line",
			"diane:pbkdf2:sha256:1$s$00\n",
			"users",
			"",
			[]string{"diane||||-|pbkdf2:sha256:1$s$00|-"},
			"",
		},
		{
			"htpasswd without a hash, and without a colon",
			"diane:\nhunter2\n",
			"htpasswd",
			"",
			[]string{"diane refused: no hash after the colon", " refused: invalid line: want NAME:HASH"},
			"",
		},
		{
			"a line that is too long",
			"name\ndiane\n" + strings.Repeat("x", maxImportLine+1),
			"p.csv",
			"",
			[]string{"diane||||-||-"},
			"line 3: line is over 48 KiB",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := readAll(t, tc.file, tc.path, tc.format)
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("reading the file = %v, want error %q", err, tc.err)
			}
			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}

			all := strings.Join(got, "\n")
			if err != nil && strings.Contains(err.Error(), "hunter2") ||
				strings.Contains(all, "refused") && strings.Contains(all, "hunter2") {
				t.Errorf("got error %v and rows %s, want them without the password", err, all)
			}
		})
	}
}

// FuzzReadUsers checks that every line that is not blank is a row or a refusal, so that no user
// is lost without a report.
func FuzzReadUsers(f *testing.F) {
	f.Add("name,email\ndiane,\"x\"\"y\"\n\"carl\n", "csv")
	f.Add("{\"name\":\"diane\"}\n[]\n", "jsonl")
	f.Add("diane:$5$x\n:\n", "htpasswd")
	f.Fuzz(func(t *testing.T, file, format string) {
		p, err := openUsers(strings.NewReader(file), "", format)
		if err != nil {
			return
		}

		rows := 0
		for {
			_, _, err := p.next()
			var one fault
			if err != nil && !errors.As(err, &one) {
				if !errors.Is(err, io.EOF) {
					return // a line that is too long, with an error
				}
				break
			}

			rows++
		}

		lines := 0
		for line := range strings.Lines(strings.TrimPrefix(file, "\xef\xbb\xbf")) {
			if strings.TrimSpace(line) != "" && (!p.comments || !strings.HasPrefix(line, "#")) {
				lines++
			}
		}

		if format == "csv" {
			lines-- // the head
		}
		if rows != lines && format != "" {
			t.Errorf("got %d rows and refusals, want %d: one for each line", rows, lines)
		}
	})
}

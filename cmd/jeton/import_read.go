//go:build !walletonly

package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxImportLine bounds a line, in bytes. A row is one line in every format, so that an
// unclosed quote spoils one row and does not fill the memory.
const maxImportLine = 48 << 10

// errPlain refuses a password in place of a hash.
var errPlain = errors.New("plain passwords are not imported: " +
	"remove the column and set passwords with 'jeton user passwd', or hash them first")

// fault is an error of one row; the next row can be read.
type fault struct{ error }

func (f fault) Unwrap() error { return f.error }

// userFile reads a file of users, one row at a time.
type userFile struct {
	lines    *bufio.Scanner
	line     int
	comments bool // lines that begin with # are skipped
	parse    func(line string) (api.Moved, error)
	dialect  string // the format as it was read, for the operator
	left     string // what the format has and is not imported, for the operator, or ""
}

// openUsers opens a file in a format: csv, jsonl or htpasswd, or "" to detect it by the name of
// the file and its first line.
func openUsers(from io.Reader, name, format string) (*userFile, error) {
	buffered := bufio.NewReaderSize(from, 64<<10)
	mark := []byte("\xef\xbb\xbf") // byte order mark, which Excel writes
	begin, _ := buffered.Peek(len(mark))
	if bytes.Equal(begin, mark) {
		_, _ = buffered.Discard(len(mark))
	}

	if format == "keycloak" {
		rows, left, err := keycloakUsers(buffered)
		if err != nil {
			return nil, err
		}

		p, err := openUsers(bytes.NewReader(rows), name, "jsonl")
		if err == nil {
			p.dialect, p.left = "keycloak", left
		}

		return p, err
	}

	begin, _ = buffered.Peek(4 << 10)
	if format == "" {
		format = formatOf(name, string(begin))
	}
	if format != "htpasswd" && strings.HasPrefix(strings.TrimSpace(string(begin)), "[") {
		return nil, errors.New("the file is a JSON list: want one object per line; convert it with jq -c '.[]'")
	}

	p := &userFile{lines: bufio.NewScanner(buffered), dialect: format}
	p.lines.Buffer(make([]byte, 4<<10), maxImportLine)

	switch format {
	case "csv":
		return p, p.csv()
	case "jsonl":
		p.parse = parseJSONRow
	case "htpasswd":
		p.parse, p.comments = parseHtpasswdRow, true
	case "":
		return nil, usage{errors.New("unknown file format: use --format csv, jsonl, htpasswd or keycloak")}
	default:
		return nil, usage{fmt.Errorf("invalid --format %q: want csv, jsonl, htpasswd or keycloak", format)}
	}

	return p, nil
}

// formatOf detects a format by the name of a file, else by its first line.
func formatOf(name, begin string) string {
	base := strings.ToLower(filepath.Base(name))
	ext := filepath.Ext(base)
	switch {
	case strings.Contains(base, "htpasswd"):
		return "htpasswd"
	case ext == ".csv", ext == ".tsv":
		return "csv"
	case ext == ".jsonl", ext == ".ndjson", ext == ".json":
		return "jsonl"
	}

	first, _, _ := strings.Cut(strings.TrimSpace(begin), "\n")
	columns := strings.Split(strings.TrimSpace(first), string(separatorOf(first)))
	switch {
	case strings.HasPrefix(first, "{") && strings.Contains(first, `"name"`), strings.HasPrefix(first, "["):
		return "jsonl"
	case slices.Contains(columns, "name") || slices.Contains(columns, `"name"`):
		return "csv"
	case strings.Contains(first, ":"):
		return "htpasswd"
	}

	return ""
}

// next returns a row with its line number. Its error is io.EOF after the last row, a fault for
// an invalid row, and any other error if nothing more can be read.
func (p *userFile) next() (api.Moved, int, error) {
	for p.lines.Scan() {
		p.line++
		line := strings.TrimSuffix(p.lines.Text(), "\r")
		if strings.TrimSpace(line) == "" || p.comments && strings.HasPrefix(line, "#") {
			continue
		}

		if err := web.CheckUTF8([]byte(line)); err != nil {
			return api.Moved{}, p.line, fault{fmt.Errorf("%s; save the file as UTF-8", jeton.Detail(err))}
		}

		row, err := p.parse(line)
		return row, p.line, err
	}

	if err := p.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("line is over %d KiB", maxImportLine>>10)
		}
		return api.Moved{}, p.line + 1, fmt.Errorf("line %d: %w", p.line+1, err)
	}

	return api.Moved{}, p.line, io.EOF
}

// find returns the row of a user with its line number. Its errors are those of next; an invalid
// row of another user does not stop it.
func (p *userFile) find(name string) (api.Moved, int, error) {
	for {
		row, line, err := p.next()
		var invalid fault
		if row.Name == name || err != nil && !errors.As(err, &invalid) {
			return row, line, err
		}
	}
}

// importColumns are the headings of a CSV file. A column of another name is refused: it may be
// a misspelled one, whose cells would be ignored silently.
var importColumns = []string{
	"name",
	"email",
	"first_name",
	"last_name",
	"groups",
	"password_hash",
	"disabled",
	"id",
	"service",
}

// csv reads the headings. They are read as a row is, so that its limits, its line numbers and the
// skipping of empty lines hold for them, too.
func (p *userFile) csv() error {
	var heads []string
	var separator rune
	p.parse = func(line string) (api.Moved, error) {
		separator = separatorOf(line)
		cells, err := csvCells(line, separator)
		heads = cells
		return api.Moved{}, err
	}

	if _, line, err := p.next(); errors.Is(err, io.EOF) {
		return errors.New("the file is empty; its first line names the columns: " + strings.Join(importColumns, ","))
	} else if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}

	for i, h := range heads {
		heads[i] = strings.TrimSpace(h)

		switch {
		case heads[i] == "password":
			return fmt.Errorf("column password: %w", errPlain)
		case !slices.Contains(importColumns, heads[i]):
			return fmt.Errorf("unknown column %q: want %s", heads[i], strings.Join(importColumns, ", "))
		case slices.Index(heads, heads[i]) < i:
			return fmt.Errorf("duplicate column %s", heads[i])
		}
	}

	if !slices.Contains(heads, "name") {
		return errors.New("no column name; the first line names the columns: " + strings.Join(importColumns, ","))
	}

	p.parse = func(line string) (api.Moved, error) { return parseCSVRow(heads, separator, line) }
	names := strings.Join(heads, ", ")
	p.dialect = fmt.Sprintf("csv, separated by %s, with the columns %s", separators[separator], names)

	return nil
}

// separators has the name of each separator of CSV. Spreadsheets write semicolons where the comma is
// a decimal point.
var separators = map[rune]string{',': "commas", ';': "semicolons", '\t': "tabs"}

// separatorOf returns the separator of a line of headings: the one that it has most of, and a comma
// for a line without any. No name of a column contains one.
func separatorOf(heads string) rune {
	separator := ','
	for _, r := range ";\t" {
		if strings.Count(heads, string(r)) > strings.Count(heads, string(separator)) {
			separator = r
		}
	}

	return separator
}

// csvCells splits one line. A quoted cell cannot contain a line break, which no name or hash
// does.
func csvCells(line string, separator rune) ([]string, error) {
	r := csv.NewReader(strings.NewReader(line))
	r.Comma = separator
	cells, err := r.Read()
	if err != nil {
		return nil, fault{errors.New("invalid CSV: a quote is missing or misplaced")}
	}

	return cells, nil
}

// parseCSVRow returns the name of a faulty row as well, if it got that far, so that the report
// can say whose it is. An empty cell of groups or disabled leaves the value of an existing
// user as it is.
func parseCSVRow(heads []string, separator rune, line string) (api.Moved, error) {
	var row api.Moved

	cells, err := csvCells(line, separator)
	if err != nil {
		return row, err
	}

	for i, cell := range cells {
		if i >= len(heads) {
			break
		}

		switch heads[i] {
		case "name":
			row.Name = cell
		case "email":
			row.Email = cell
		case "first_name":
			row.First = cell
		case "last_name":
			row.Last = cell
		case "password_hash":
			row.Hash = cell
		case "id":
			row.ID = cell
		case "service":
			row.Service = cell
		case "groups":
			groups := strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(" ,;", r) })
			if len(groups) > 0 {
				row.Groups = &groups
			}
		case "disabled":
			if cell != "" {
				yes, known := truth(cell)
				if !known {
					return row, fault{fmt.Errorf("invalid disabled %q: want true or false", cell)}
				}
				row.Disabled = &yes
			}
		}
	}

	// After the cells were read, so that the report has the name of the row.
	if len(cells) != len(heads) {
		return row, fault{fmt.Errorf("the row has %d cells, want %d as in the first line", len(cells), len(heads))}
	}

	return row, nil
}

// truth reads yes and no, as spreadsheets have them, and the spellings of strconv.ParseBool.
func truth(cell string) (yes, known bool) {
	switch strings.ToLower(cell) {
	case "yes":
		return true, true
	case "no":
		return false, true
	}

	yes, err := strconv.ParseBool(cell)
	return yes, err == nil
}

// parseJSONRow refuses unknown members, as CSV refuses unknown columns. The errors of package
// json are replaced where they quote the input, which may hold a hash.
func parseJSONRow(line string) (api.Moved, error) {
	var row struct {
		api.Moved
		Password json.RawMessage `json:"password"`
	}

	if err := web.CheckJSONText([]byte(line)); err != nil {
		return row.Moved, fault{errors.New(jeton.Detail(err))}
	}

	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()

	if err := d.Decode(&row); err != nil {
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &kind):
			err = fmt.Errorf("member %q: want %s", strings.TrimPrefix(kind.Field, "Moved."), kind.Type)
		case !strings.HasPrefix(err.Error(), "json: unknown field"):
			err = errors.New("invalid JSON object")
		}

		return row.Moved, fault{err}
	}

	if row.Password != nil {
		return row.Moved, fault{errPlain}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return row.Moved, fault{errors.New("more than one JSON object on the line")}
	}

	return row.Moved, nil
}

// parseHtpasswdRow reads NAME:HASH. Whether the hash is of a known format is for the server to
// say.
func parseHtpasswdRow(line string) (api.Moved, error) {
	name, hash, ok := strings.Cut(line, ":")
	if !ok {
		return api.Moved{}, fault{errors.New("invalid line: want NAME:HASH")}
	}
	if hash == "" {
		return api.Moved{Name: name}, fault{errors.New("no hash after the colon")}
	}

	if strings.HasPrefix(hash, "$") || strings.HasPrefix(hash, "{") {
		hash, _, _ = strings.Cut(hash, ":") // some servers allow a comment after it
	}

	return api.Moved{Name: name, Hash: hash}, nil
}

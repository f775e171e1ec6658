package yamlread_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

// house is a struct with every kind of tag.
type house struct {
	Street string            `yaml:"street" required:"true" doc:"Street. It has a number."`
	Rooms  int               `yaml:"rooms" default:"3" min:"1" max:"9" doc:"Number of rooms."`
	Entry  *entry            `yaml:"entry" short:"color" doc:"The entry."`
	Garden garden            `yaml:"garden" doc:"The garden."`
	Names  []string          `yaml:"names" default:"[a, b]" enum:"a,b,c" doc:"Names of cats."`
	Lease  yamlread.Duration `yaml:"lease" default:"1d" min:"1h" max:"7d" absent:"a day" doc:"Lease."`
}

type entry struct {
	Color string `yaml:"color" env:"GATE_COLOR" enum:"red,blue" doc:"Color."`
}

type garden struct {
	Trees int `yaml:"trees" env:"TREES" default:"1" min:"0" max:"99" doc:"Number of trees."`
}

func environment(pairs ...string) yamlread.Env {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func read(t *testing.T, text string, env ...string) (*house, *yamlread.Document) {
	t.Helper()

	var h house
	d, err := yamlread.Read("house.yaml", []byte(text), environment(env...), &h)
	if err != nil {
		t.Fatal(err)
	}

	return &h, d
}

func TestDefaultsOfTags(t *testing.T) {
	h, d := read(t, "street: Elm 1\n")
	if d.Err() != nil {
		t.Fatal(d.Err())
	}

	if h.Rooms != 3 || h.Garden.Trees != 1 || h.Lease.Std() != 24*time.Hour || strings.Join(h.Names, "") != "ab" {
		t.Errorf("Read = %+v, want the defaults of the tags", h)
	}
	if d.Has(&h.Rooms) || d.Has(&h.Garden) || !d.Has(&h.Street) {
		t.Error("Has: want it for the street only")
	}
}

func TestFaultsOfTags(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a required key that is missing", "{}",
			"house.yaml:1:1: street: missing; it is required: Street"},
		{"a number below its minimum", "{street: a, rooms: 0}",
			"house.yaml:1:20: rooms: invalid number 0: want 1 to 9"},
		{"a number above its maximum", "{street: a, rooms: 10}",
			"house.yaml:1:20: rooms: invalid number 10: want 1 to 9"},
		{"a duration outside its range", "{street: a, lease: 8d}",
			`house.yaml:1:20: lease: invalid duration "8d": want 1h to 7d, or remove the key for: a day`},
		{"a word that is not permitted", "{street: a, names: [c, d]}",
			`house.yaml:1:24: names[1]: invalid value "d": want one of a, b, c; did you mean a?`},
		{"a word in a short form", "{street: a, entry: rad}",
			`house.yaml:1:20: entry.color: invalid value "rad": want one of red, blue; did you mean red?`},
		{"an unknown key", "{street: a, romms: 2}",
			"house.yaml:1:13: romms: unknown key; did you mean rooms?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, d := read(t, tc.text)
			if d.Err() == nil || d.Err().Error() != tc.want {
				t.Errorf("got %v, want %s", d.Err(), tc.want)
			}
		})
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	for _, text := range []string{
		"street: a",
		"{street: a, entry: red, garden: {trees: 2}}",
		"{street: a, entry: {color: red}}",
	} {
		h, d := read(t, text, "GATE_COLOR", "blue")
		if d.Err() != nil || h.Entry == nil || h.Entry.Color != "blue" {
			t.Errorf("%s: got %+v, %v, want a blue entry", text, h, d.Err())
		}
	}

	h, d := read(t, "street: a", "TREES", "7")
	if d.Err() != nil || h.Garden.Trees != 7 {
		t.Errorf("TREES=7: got %+v, %v, want 7 trees", h.Garden, d.Err())
	}

	_, d = read(t, "street: a", "TREES", "many")
	want := `environment TREES: garden.trees: invalid value "many": want a whole number such as 10`
	if d.Err() == nil || d.Err().Error() != want {
		t.Errorf("got %v, want %s", d.Err(), want)
	}
}

// TestFaultOfARule reports by pointer: where the key is, or where its mapping is.
func TestFaultOfARule(t *testing.T) {
	h, d := read(t, "street: Elm\nrooms: 0\ngarden: {}\n")
	d.Fault(&h.Street, "too %s", "short")
	d.Fault(&h.Garden.Trees, "missing")
	d.Fault(&h.Lease, "missing, too")
	d.Fault(&h.Rooms, "not reported: the value could not be read")

	want := "house.yaml:1:1: lease: missing, too\n" +
		"house.yaml:1:9: street: too short\n" +
		"house.yaml:2:8: rooms: invalid number 0: want 1 to 9\n" +
		"house.yaml:3:9: garden.trees: missing"
	if got := d.Err().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestFaultOfACopy holds that a rule cannot report a field of a copy, which has no place.
func TestFaultOfACopy(t *testing.T) {
	h, d := read(t, "street: Elm\n")
	other := *h

	defer func() {
		if recover() == nil {
			t.Error("Fault with a pointer to a copy did not panic")
		}
	}()
	d.Fault(&other.Street, "wrong")
}

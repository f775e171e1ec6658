package jeton

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// hidden holds a secret where fmt cannot ask its methods.
type hidden struct {
	user   string
	secret Secret
	more   *Secret
}

// shown holds secrets where encoders find them.
type shown struct {
	User   string
	Secret Secret
	More   *Secret
	List   []Secret
	ByName map[string]Secret
	BySelf map[Secret]string `xml:"-"`
	Any    any               `xml:"-"`
}

type element struct {
	A Secret
	B Secret `xml:",attr"`
}

func TestASecretNeverPrintsItself(t *testing.T) {
	const text = "hunter2-horse"
	s := NewSecret(text)
	h := hidden{"diane", s, &s}
	sh := shown{"diane", s, &s, []Secret{s}, map[string]Secret{"a": s}, map[Secret]string{s: "b"}, s}
	var out []string
	for _, verb := range []string{
		"%v",
		"%+v",
		"%#v",
		"%s",
		"%q",
		"%x",
		"%X",
		"% x",
		"%d",
		"%10s",
		"%-20v",
		"%T",
		"%U",
		"%c",
		"%t",
		"%!",
		"%w",
	} {
		for _, v := range []any{
			s,
			&s,
			sh,
			&sh,
			[]Secret{s},
			map[string]Secret{"a": s},
			map[Secret]int{s: 1},
			struct{ Secret }{s},
			[1]any{s},
		} {
			line := fmt.Sprintf(verb, v)
			out = append(out, line)
		}
		out = append(
			out, fmt.Sprintf(verb, h), fmt.Sprintf(verb, &h), fmt.Sprintf(verb, []hidden{h}),
			fmt.Sprintf(verb, struct{ h hidden }{h}),
		)
	}

	out = append(
		out, fmt.Sprint(s, &s, h), fmt.Sprintln(s, h), s.String(), s.GoString(),
		fmt.Errorf("with %v: %w", s, errors.New("x")).Error(),
	)
	for _, v := range []any{s, &s, sh, h, []Secret{s}, map[string]Secret{"a": s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("json: %v", err)
		}
		out = append(out, string(b))
	}

	if b, err := xml.Marshal(element{s, s}); err != nil {
		t.Errorf("xml: %v", err)
	} else {
		out = append(out, string(b))
	}

	if b, err := s.MarshalText(); err != nil || string(b) != masked {
		t.Errorf("MarshalText = %q, %v", b, err)
	}

	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).With("a", s).WithGroup("g").Info(
			"message",
			"b", s,
			"c", &s,
			"d", sh,
			"e", h,
			"f", []Secret{s},
			slog.Any("h", s),
			slog.Group("i", "j", s),
		)
	}

	out = append(out, log.String())
	// Hexadecimal, and a list of numbers, would be the text as well.
	forms := []string{
		text,
		text[:7],
		fmt.Sprintf("%x", text),
		fmt.Sprintf("%X", text),
		fmt.Sprintf("% x", text),
		fmt.Sprint([]byte(text)),
	}
	for _, line := range out {
		for _, form := range forms {
			if strings.Contains(line, form) {
				t.Errorf("it prints itself: %s", line)
			}
		}
	}

	for _, line := range []string{
		fmt.Sprintf("%v", s),
		fmt.Sprintf("%q", s),
		fmt.Sprintf("%x", s),
		s.LogValue().String(),
	} {
		if line != "[secret]" {
			t.Errorf("it prints as %s, want [secret]", line)
		}
	}
}

func TestASecretIsReadAndRevealed(t *testing.T) {
	var in struct{ Password Secret }
	if err := json.Unmarshal([]byte(`{"Password":"a \"b\" é"}`), &in); err != nil {
		t.Fatal(err)
	}

	got := in.Password.Reveal()
	if got != `a "b" é` {
		t.Errorf("Reveal = %q", got)
	}

	buffer := []byte("changing")
	var s Secret
	if err := s.UnmarshalText(buffer); err != nil {
		t.Fatal(err)
	}

	clear(buffer)
	if s.Reveal() != "changing" {
		t.Errorf("Reveal = %q: it shares the memory of its source", s.Reveal())
	}

	for name, tc := range map[string]struct {
		s    Secret
		zero bool
	}{"zero": {Secret{}, true}, "empty": {NewSecret(""), true}, "blank": {NewSecret(" "), false}} {
		if tc.s.IsZero() != tc.zero {
			t.Errorf("%s: IsZero = %t, want %t", name, tc.s.IsZero(), tc.zero)
		}
	}

	if (Secret{}).Reveal() != "" || fmt.Sprint(Secret{}) != masked {
		t.Error("no secret at all shows that it is none")
	}
}

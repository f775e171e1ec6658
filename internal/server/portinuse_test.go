package server_test

import (
	"net"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestAPortInUseNamesTheSetting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	used := l.Addr().String()
	for _, tc := range []struct{ name, conf, want string }{
		{"of a service", strings.Replace(shop(), "localhost:0", used, 1), "or change services[0].listen"},
		{"of the admin listener", "admin: {listen: '" + used + "'}\n" + shop(), "or change admin.listen (or set "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := jetontest.TryStart(t, tc.conf)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), used) {
				t.Errorf("start = %v, want %q with the address", err, tc.want)
			}
		})
	}
}

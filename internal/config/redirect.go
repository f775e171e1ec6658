package config

// Redirect is the listener that sends browsers from http:// to https://.
type Redirect struct {
	Listen string `yaml:"listen" required:"true" doc:"Address and port, such as ':80'."`
}

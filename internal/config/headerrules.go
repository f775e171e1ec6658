package config

// HeaderRules change the headers of messages.
type HeaderRules struct {
	Remove []string `yaml:"remove" absent:"none" doc:"Names of headers to remove."`
	Set    []Header `yaml:"set" absent:"none" doc:"Headers that replace those of the same name, if there are any."`
	Add    []Header `yaml:"add" absent:"none" doc:"Headers to add beside those of the same name."`
}

// Header is one header.
type Header struct {
	Name  string `yaml:"name" required:"true" doc:"Name of the header."`
	Value string `yaml:"value" required:"true" doc:"Its value, sent unchanged: visible ASCII characters and spaces."`
}

package pages

// accountSamples are the view models of templates/account.
func accountSamples() map[string][]any {
	return map[string][]any{
		"account/profile": {
			profileView{Name: "diane"},
			profileView{Name: hostile, Groups: []string{"staff", hostile}},
		},
	}
}

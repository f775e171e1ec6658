package pages

// adminSamples are the view models of templates/admin.
func adminSamples() map[string][]any {
	return map[string][]any{
		"admin/overview": {struct{}{}},
	}
}

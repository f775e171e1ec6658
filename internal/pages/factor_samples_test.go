package pages

// factorSamples are view models of the pages of second factors.
func factorSamples() map[string][]any {
	note := &Note{
		Kind:    Bad,
		Text:    text("factor.wrong"),
		More:    text("factor.wrong.do"),
		Request: "r1",
	}
	refused := codeField()
	refused.NoteBelongs, refused.Invalid = true, true

	code := factorView{
		Action: factorPath,
		Name:   "diane",
		Code:   codeField(),
		Again:  "/sign-in",
	}
	again := factorView{
		Action: factorPath + "?client_id=reports",
		Note:   note,
		Name:   hostile,
		Code:   refused,
		Other:  recoverPath + "?client_id=reports",
		Again:  "/sign-in?client_id=reports",
	}

	const uri = "otpauth://totp/login.example:diane?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=login.example"
	image, err := qrCode(uri)
	if err != nil {
		panic(err) // the text is short
	}
	const key = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"

	return map[string][]any{
		"sign-in/factor":   {code, again},
		"sign-in/recovery": {code, again},
		"sign-in/replace":  {replaceView{code, image, key}, replaceView{again, image, key}},
		"account/app-new": {
			appView{Action: securityPath + "/app/f_1", Code: codeField()},
			appView{
				Action: securityPath + "/app/f_1",
				Note:   note,
				QR:     image,
				Secret: key,
				Code:   refused,
			},
		},
		"account/recovery-codes": {
			codesView{},
			codesView{[]string{"abcdefg-hjkmnpq", "rstuvwx-yz02345"}},
		},
	}
}

// factorsSample is the second factors of an account.
func factorsSample() ownFactors {
	return ownFactors{
		Factors: []ownFactor{
			{ID: "f_1", Kind: "totp", Created: noon},
			{
				ID:      "f_2",
				Kind:    "totp",
				Name:    hostile,
				Created: noon,
				Used:    noon,
			},
		},
		CodesLeft: 3,
	}
}

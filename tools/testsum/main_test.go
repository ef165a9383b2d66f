package main

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	const pass = `{"Action":"pass","Package":"p","Test":"TestA"}`
	for _, tc := range []struct {
		name  string
		input string
		ok    bool
		says  string
	}{
		{"passed", pass + "\n" + `{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`, true, "ok  \tp\t0.1s\n"},
		{"none ran", `{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s [no tests to run]\n"}`, false, "no tests to run"},
		{
			"failed",
			pass + "\n" + `{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: odd\n"}` + "\n" +
				`{"Action":"fail","Package":"p","Test":"TestB"}`,
			false, "b_test.go:3: odd\n",
		},
		{
			"skipped",
			pass + "\n" + `{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB\n"}` + "\n" +
				`{"Action":"skip","Package":"p","Test":"TestB"}`,
			false, "--- SKIP: TestB\n",
		},
		{"package failed beside its tests", pass + "\n" + `{"Action":"fail","Package":"p"}`, false, ""},
		{"package without tests", pass + "\n" + `{"Action":"skip","Package":"q"}`, true, ""},
		{"build failed", pass + "\n# p\np/a.go:1:1: syntax error\n" + `{"Action":"fail","Package":"p"}`, false, "syntax error"},
		{"quiet when passing", `{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}` + "\n" + pass, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var said strings.Builder
			got, err := summarize(strings.NewReader(tc.input), &said)
			if err != nil {
				t.Fatal(err)
			}
			if got.ok() != tc.ok {
				t.Errorf("ok = %v for %+v, want %v", got.ok(), got, tc.ok)
			}
			if !strings.Contains(said.String(), tc.says) || strings.Contains(said.String(), "chatter") {
				t.Errorf("printed %q, want it to hold %q and no chatter", said.String(), tc.says)
			}
		})
	}
}

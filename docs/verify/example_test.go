package verify_test

import (
	"fmt"
	"log"
	"net/http"
	"slices"

	"github.com/caddy-mfa/caddy-mfa/docs/verify"
)

// The app behind this site:
//
//	dash.example.com {
//		mfa {
//			identity jwt
//		}
//		reverse_proxy localhost:3000
//	}
func Example() {
	v := &verify.Verifier{Issuer: "https://dash.example.com", Host: "dash.example.com"}
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		person := verify.From(r)
		if !slices.Contains(person.Groups, "ops") {
			http.Error(w, "This is for ops.", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "Hello, %s!\n", person.Name)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:3000", v.Require(app)))
}

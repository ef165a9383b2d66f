// Command caddy is Caddy's standard build with caddy-mfa in it.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-mfa/caddy-mfa/caddymodule"
)

func main() {
	caddycmd.Main()
}

package caddymodule

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/caddy-mfa/caddy-mfa/loginui"
)

func templatesCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "templates DIR", Short: "Writes the templates of the pages, to change them"}, `
Writes the templates of the pages into the directory DIR, as they are in this
Caddy, and makes DIR if there is none. A file that is there already is never
overwritten: then nothing is written.

Change those that should look different, and delete the others: they stay as
they come, and follow updates. Then name the directory with the option
templates; caddy validate says what would no longer work.`, "templates mfa-pages")
	asLeaf(cmd, []string{"DIR"}, func(c *client, args []string) error {
		if args[0] == "" {
			return &usageError{"DIR is missing"}
		}
		out, err := writeTemplates(args[0])
		if err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			for _, file := range out.Files {
				fmt.Fprintln(w, printable(filepath.Join(out.Dir, file)))
			}
			fmt.Fprintf(w, "\nChange what should look different, and delete the other files. Then use them with:\n\n  templates %s\n", printable(out.Dir))
		})
	})
	for _, name := range []string{"address", "config", "adapter"} { // it asks nobody
		cmd.Flags().Lookup(name).Hidden = true
	}
	return cmd
}

type templatesView struct {
	Dir   string   `json:"dir"` // absolute, as the option wants it
	Files []string `json:"files"`
}

// writeTemplates writes all pages, or none if one is there.
func writeTemplates(dir string) (v templatesView, err error) {
	if v.Dir, err = filepath.Abs(dir); err != nil {
		return v, err
	}
	pages := loginui.OwnPages()
	if v.Files, err = fs.Glob(pages, "*"); err != nil {
		return v, err
	}
	for _, file := range v.Files {
		path := filepath.Join(v.Dir, file)
		if _, err := os.Lstat(path); err == nil {
			return v, &refusedError{path + " is there already. Nothing was written."}
		}
	}
	return v, os.CopyFS(v.Dir, pages) // which overwrites nothing either
}

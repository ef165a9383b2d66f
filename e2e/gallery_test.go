package e2e

import (
	"cmp"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
)

var gallery = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{len .Photos}} pages</title>
<style>
body { margin: 1rem; font: 1rem/1.4 system-ui, sans-serif; }
header { position: sticky; top: 0; padding: .5rem 0; background: Canvas; }
input { font: inherit; width: 20rem; }
table { border-collapse: collapse; }
th, td { padding: .5rem; border-top: 1px solid GrayText; vertical-align: top; text-align: start; }
img { width: 15rem; max-height: 20rem; object-fit: cover; object-position: top; border: 1px solid GrayText; }
small { display: block; max-width: 15rem; font-weight: 400; }
</style>
<header><label>Filter <input id="filter" type="search" autofocus></label> <span id="count">{{len .Photos}}</span> pages</header>
<table>
<thead><tr><th>Page{{range .Looks}}<th>{{.}}{{end}}</thead>
<tbody>
{{range .Photos}}<tr id="{{.Name}}"><th scope="row">{{.Name}}<small>{{.Page}}<br>{{.Title}}</small>
{{range .Pictures}}<td><a href="{{.File}}" target="_blank"><img src="{{.File}}" alt="{{.Look}}" loading="lazy"></a>
{{end}}{{end}}</tbody>
</table>
<script>
const rows = [...document.querySelectorAll("tbody tr")], filter = document.getElementById("filter");
filter.oninput = () => {
	const words = filter.value.toLowerCase().split(/\s+/);
	for (const r of rows) r.hidden = !words.every(w => r.innerText.toLowerCase().includes(w) || r.textContent.toLowerCase().includes(w));
	document.getElementById("count").textContent = rows.filter(r => !r.hidden).length;
};
</script>
</html>
`))

// writeGallery writes out/gallery.html, which shows all pictures of this run side by side.
func writeGallery() error {
	type picture struct{ File, Look string }
	type row struct {
		*photo
		Pictures []picture
	}
	var shown struct {
		Looks  []string
		Photos []row
	}
	if len(shot.pages) == 0 {
		return nil
	}
	for _, look := range looks {
		shown.Looks = append(shown.Looks, look.name)
	}
	pages := slices.Clone(shot.pages)
	slices.SortFunc(pages, func(a, b *photo) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range pages {
		r := row{photo: p}
		for _, look := range shown.Looks {
			if look == "arabic" && !p.ours {
				continue
			}
			r.Pictures = append(r.Pictures, picture{p.Name + "-" + look + ".png", look})
		}
		shown.Photos = append(shown.Photos, r)
	}
	f, err := os.Create(filepath.Join(out, "gallery.html"))
	if err != nil {
		return err
	}
	if err := gallery.Execute(f, shown); err != nil {
		f.Close()
		return fmt.Errorf("writing the gallery: %w", err)
	}
	return f.Close()
}

package loginui

import "testing"

func TestTakesGzip(t *testing.T) {
	for _, row := range []struct {
		name   string
		values []string
		want   bool
	}{
		{"nothing said", nil, false},
		{"empty", []string{""}, false},
		{"alone", []string{"gzip"}, true},
		{"as browsers say", []string{"gzip, deflate, br, zstd"}, true},
		{"capitals", []string{"GZIP"}, true},
		{"old name", []string{"x-gzip"}, true},
		{"another line", []string{"br", "deflate , gzip"}, true},
		{"others", []string{"br, deflate"}, false},
		{"part of a name", []string{"gzipped"}, false},
		{"whole weight", []string{"gzip;q=1.0"}, true},
		{"spaces", []string{"br ; q=1 ,gzip ; Q = 0.5"}, true},
		{"least weight", []string{"gzip;q=0.001"}, true},
		{"refused", []string{"gzip;q=0"}, false},
		{"refused at length", []string{"gzip; q=0.000"}, false},
		{"refused but the rest", []string{"*, gzip;q=0"}, false},
		{"anything", []string{"*"}, true},
		{"anything, weighed", []string{"br;q=1, *;q=0.1"}, true},
		{"nothing else", []string{"identity, *;q=0"}, false},
		{"named, nothing else", []string{"gzip, *;q=0"}, true},
		{"no number", []string{"gzip;q=x"}, false},
		{"NaN", []string{"gzip;q=NaN"}, false},
		{"negative", []string{"gzip;q=-1"}, false},
		{"too much", []string{"gzip;q=2"}, false},
		{"no weight", []string{"gzip;level=9"}, false},
	} {
		if got := takesGzip(row.values); got != row.want {
			t.Errorf("%s: %q: %v", row.name, row.values, got)
		}
	}
}

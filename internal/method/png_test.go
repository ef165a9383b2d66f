package method

import (
	"bytes"
	"image/color"
	"image/png"
	"testing"
)

// TestBlackOnWhite reads pictures of many sizes back with the standard library, pixel by pixel.
func TestBlackOnWhite(t *testing.T) {
	for side := 1; side <= 40; side++ {
		for _, scale := range []int{1, 2, 3, 8, 11} {
			black := func(x, y int) bool { return (x*x+3*y)%5 < 2 }
			img, err := png.Decode(bytes.NewReader(blackOnWhite(side, scale, black)))
			if err != nil {
				t.Fatalf("%d squares of %d pixels: %v", side, scale, err)
			}
			if b := img.Bounds(); b.Dx() != side*scale || b.Dy() != side*scale {
				t.Fatalf("%d squares of %d pixels: %v", side, scale, b)
			}
			for y := range side * scale {
				for x := range side * scale {
					got := color.GrayModel.Convert(img.At(x, y)) == color.Gray{}
					if got != black(x/scale, y/scale) {
						t.Fatalf("%d squares of %d pixels: at %d, %d black is %v", side, scale, x, y, got)
					}
				}
			}
		}
	}
}

package method

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
)

// blackOnWhite is a square picture of side times side squares, each scale pixels wide, as a PNG with one bit a pixel (ISO/IEC 15948).
// image/png would do the same, and link its decoder and all colour models into the binary: 100 KB.
func blackOnWhite(side, scale int, black func(x, y int) bool) []byte {
	width := side * scale
	row := make([]byte, 1+(width+7)/8) // the first byte says that it is not filtered
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	for y := range side {
		clear(row)
		for x := range width {
			if !black(x/scale, y) {
				row[1+x/8] |= 0x80 >> (x % 8)
			}
		}
		for range scale {
			_, _ = z.Write(row) // a Buffer takes everything
		}
	}
	_ = z.Close()

	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(width))
	out := []byte("\x89PNG\r\n\x1a\n")
	out = appendChunk(out, "IHDR", append(head, 1, 0, 0, 0, 0)) // one bit, grey, and the only ways there are to pack and to filter
	out = appendChunk(out, "IDAT", packed.Bytes())
	return appendChunk(out, "IEND", nil)
}

// appendChunk appends one part of a PNG: length, type, content, and the checksum of the latter two.
func appendChunk(out []byte, kind string, content []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(content)))
	start := len(out)
	out = append(append(out, kind...), content...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[start:]))
}

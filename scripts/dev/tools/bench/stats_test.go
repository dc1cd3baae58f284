package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{9, 1, 2}, Spread{2, 1, 9, 3}},
		{[]float64{4, 1, 2, 9}, Spread{3, 1, 9, 4}},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("spread of %v is %v, not %v", c.values, got, c.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name         string
		now, before  Value
		known        bool
		goal, change string
	}{
		{"no goal, no run before", Value{Spread: Spread{1, 1, 1, 1}}, Value{}, false, "", ""},
		{"goal met", Value{Spread: Spread{2, 1, 3, 5}, Goal: 2}, Value{}, false, "met (2)", ""},
		{"goal missed", Value{Spread: Spread{2.1, 1, 3, 5}, Goal: 2}, Value{}, false, "MISSED (2)", ""},
		{"within the spread", Value{Spread: Spread{2.5, 2, 3, 5}}, Value{Spread: Spread{2, 1, 2.5, 5}}, true, "", "+25 %"},
		{"beyond the spread", Value{Spread: Spread{3, 2.6, 3, 5}}, Value{Spread: Spread{2, 1, 2.5, 5}}, true, "", "+50 % WORSE"},
		{"better", Value{Spread: Spread{1, 0.5, 1.5, 5}}, Value{Spread: Spread{2, 1.6, 2.5, 5}}, true, "", "-50 % better"},
		{"a single value, by less than a tenth", Value{Spread: Spread{105, 105, 105, 1}}, Value{Spread: Spread{100, 100, 100, 1}}, true, "", "+5 %"},
		{"a single value, by more", Value{Spread: Spread{120, 120, 120, 1}}, Value{Spread: Spread{100, 100, 100, 1}}, true, "", "+20 % WORSE"},
	} {
		if goal, change := c.now.verdict(c.before, c.known); goal != c.goal || change != c.change {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, goal, change, c.goal, c.change)
		}
	}
}

// TestLayersAreCountedOnce: a layer that an image has twice must count once, a compressed layer must keep its size, and
// a file that describes the image must not count.
func TestLayersAreCountedOnce(t *testing.T) {
	layer := func(size int) []byte {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(rand.Uint32())
		}
		var out bytes.Buffer
		archive := tar.NewWriter(&out)
		add(t, archive, "file", content)
		archive.Close()
		return out.Bytes()
	}
	one, two := layer(100_000), layer(50_000)
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write(two)
	zip.Close()

	var saved bytes.Buffer
	archive := tar.NewWriter(&saved)
	add(t, archive, "a/layer.tar", one)
	add(t, archive, "b/layer.tar", one)
	add(t, archive, "blobs/sha256/c", packed.Bytes())
	add(t, archive, "blobs/sha256/d", []byte(`{"layers": []}`))
	add(t, archive, "manifest.json", []byte(`[]`))
	archive.Close()

	bytes, layers, err := compressed(&saved)
	if err != nil || layers != 2 || bytes < 150_000 || bytes > 155_000 {
		t.Errorf("%d bytes in %d layers, %v; want about 150000 in 2", bytes, layers, err)
	}
}

func add(t *testing.T, archive *tar.Writer, name string, content []byte) {
	t.Helper()
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(content); err != nil {
		t.Fatal(err)
	}
}

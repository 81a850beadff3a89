// The Go authors' own code for notes and tiled logs (golang.org/x/mod/sumdb), which C2SP's specifications come from:
// fetches checkpoint, tiles and bundles over HTTPS, and believes nothing that they do not prove.
//
// Debian packages it: GO111MODULE=off GOPATH=/usr/share/gocode go run check_tlog.go URL CA VKEY OLD_CHECKPOINT
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The height that C2SP tlog-tiles fixes.
const height = 8

var failed = false

func holds(name string, err error) {
	if err != nil {
		fmt.Printf("FAIL %s: %v\n", name, err)
		failed = true
		return
	}
	fmt.Println("ok " + name)
}

func refuses(name string, err error) {
	if err == nil {
		fmt.Printf("FAIL refuses %s: accepted\n", name)
		failed = true
		return
	}
	fmt.Println("ok refuses " + name)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

type client struct {
	url  string
	http *http.Client
}

func (c *client) get(path string) ([]byte, error) {
	response, err := c.http.Get(c.url + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return body, err
}

// tiles is a tlog.TileReader. Its tile paths begin with the height, those of C2SP do not.
type tiles struct {
	*client
	damage func(tile tlog.Tile, data []byte)
}

func (t tiles) Height() int { return height }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "/tile/", 1)
		data, err := t.get(path)
		if err != nil {
			return nil, err
		}
		if t.damage != nil {
			t.damage(tile, data)
		}
		found = append(found, data)
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// checkpoint opens a note with the log's key alone, and reads its three lines.
func checkpoint(message []byte, verifier note.Verifier) (tlog.Tree, string, error) {
	var tree tlog.Tree
	opened, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return tree, "", err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 {
		return tree, "", errors.New("a checkpoint with extension lines, or with too few")
	}
	tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tree, "", err
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(hash) != tlog.HashSize {
		return tree, "", fmt.Errorf("%q is no root hash", lines[2])
	}
	copy(tree.Hash[:], hash)
	return tree, lines[0], nil
}

// forged changes the last octet of the signature by the key of that name.
func forged(message []byte, name string) []byte {
	lines := strings.Split(string(message), "\n")
	for i, line := range lines {
		if start := "— " + name + " "; strings.HasPrefix(line, start) {
			signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, start))
			must(err)
			signature[len(signature)-1] ^= 1
			lines[i] = start + base64.StdEncoding.EncodeToString(signature)
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

// entries reads all bundles below a size: each entry behind its length, 16 bits, big-endian.
func (c *client) entries(size int64) ([][]byte, error) {
	var all [][]byte
	for first := int64(0); first < size; first += 1 << height {
		tile := tlog.Tile{H: height, L: 0, N: first >> height, W: 1 << height}
		if size-first < 1<<height {
			tile.W = int(size - first)
		}
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "/tile/entries/", 1)
		bundle, err := c.get(path)
		if err != nil {
			return nil, err
		}
		for i := 0; i < tile.W; i++ {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				return nil, fmt.Errorf("%s: entry %d is cut off", path, i)
			}
			length := int(binary.BigEndian.Uint16(bundle))
			all = append(all, bundle[2:2+length])
			bundle = bundle[2+length:]
		}
		if len(bundle) != 0 {
			return nil, fmt.Errorf("%s: %d octets too many", path, len(bundle))
		}
	}
	return all, nil
}

// path is what the service answers to somebody who asks it for a proof.
func (c *client) path(query string) ([]tlog.Hash, error) {
	body, err := c.get(query)
	if err != nil {
		return nil, err
	}
	var answer struct{ Path []string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	hashes := []tlog.Hash{}
	for _, text := range answer.Path {
		var hash tlog.Hash
		data, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || copy(hash[:], data) != tlog.HashSize {
			return nil, fmt.Errorf("%q is no hash", text)
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// rebuild computes the root from entries, as the writer of a log does.
func rebuild(entries [][]byte) (tlog.Hash, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for n, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(n), entry, reader)
		if err != nil {
			return tlog.Hash{}, err
		}
		stored = append(stored, hashes...)
	}
	return tlog.TreeHash(int64(len(entries)), reader)
}

func main() {
	url, ca, vkey, old := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	pem, err := os.ReadFile(ca)
	must(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatal("no certificate in " + ca)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	c := &client{url, &http.Client{Transport: transport}}
	verifier, err := note.NewVerifier(vkey)
	must(err)

	message, err := c.get("/checkpoint")
	must(err)
	tree, origin, err := checkpoint(message, verifier)
	holds("the checkpoint is signed by the log's key", err)
	must(err)
	if origin != verifier.Name() {
		err = fmt.Errorf("origin %q, key name %q", origin, verifier.Name())
	}
	holds("its origin is the key's name", err)
	larger := strings.Replace(string(message), fmt.Sprintf("\n%d\n", tree.N), fmt.Sprintf("\n%d\n", tree.N+1), 1)
	_, _, err = checkpoint([]byte(larger), verifier)
	refuses("a checkpoint of another size", err)
	_, _, err = checkpoint(forged(message, origin), verifier)
	refuses("a checkpoint with a changed signature", err)
	wrong, err := note.NewVerifier("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
	must(err)
	_, _, err = checkpoint(message, wrong)
	refuses("a checkpoint under another key", err)

	entries, err := c.entries(tree.N)
	holds(fmt.Sprintf("%d entries from bundles", tree.N), err)
	must(err)
	root, err := rebuild(entries)
	if err == nil && root != tree.Hash {
		err = fmt.Errorf("entries give %v, the checkpoint says %v", root, tree.Hash)
	}
	holds("the root recomputed from entries is the signed one", err)

	reader := tlog.TileHashReader(tree, tiles{client: c})
	root, err = tlog.TreeHash(tree.N, reader)
	if err == nil && root != tree.Hash {
		err = fmt.Errorf("tiles give %v", root)
	}
	holds("the root from tiles is the signed one", err)
	damaged := tlog.TileHashReader(tree, tiles{c, func(_ tlog.Tile, data []byte) { data[len(data)-1] ^= 1 }})
	_, err = damaged.ReadHashes([]int64{tlog.StoredHashIndex(0, 0)})
	refuses("changed tiles", err)
	var included error
	for n := int64(0); n < tree.N && included == nil; n += 1 + tree.N/40 {
		included = inclusion(c, tree, reader, n, tlog.RecordHash(entries[n]))
	}
	holds("inclusion by tiles and by the service's own paths", included)
	proof, err := tlog.ProveRecord(tree.N, 1, reader)
	must(err)
	refuses("another entry in the place of 1", tlog.CheckRecord(proof, tree.N, tree.Hash, 1, tlog.RecordHash(entries[2])))

	previous, err := os.ReadFile(old)
	must(err)
	before, _, err := checkpoint(previous, verifier)
	must(err)
	name := fmt.Sprintf("the checkpoint of size %d is the beginning of that of size %d", before.N, tree.N)
	holds(name, consistency(c, tree, before, reader))
	before.Hash[0] ^= 1
	refuses("an older checkpoint with another root", consistency(c, tree, before, reader))
	if failed {
		os.Exit(1)
	}
}

func inclusion(c *client, tree tlog.Tree, reader tlog.HashReader, n int64, leaf tlog.Hash) error {
	proof, err := tlog.ProveRecord(tree.N, n, reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, leaf); err != nil {
		return err
	}
	served, err := c.path(fmt.Sprintf("/v1/inclusion?index=%d&size=%d", n, tree.N))
	if err != nil {
		return err
	}
	return tlog.CheckRecord(served, tree.N, tree.Hash, n, leaf)
}

func consistency(c *client, tree, old tlog.Tree, reader tlog.HashReader) error {
	proof, err := tlog.ProveTree(tree.N, old.N, reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return err
	}
	served, err := c.path(fmt.Sprintf("/v1/consistency?from=%d&to=%d", old.N, tree.N))
	if err != nil {
		return err
	}
	return tlog.CheckTree(served, tree.N, tree.Hash, old.N, old.Hash)
}

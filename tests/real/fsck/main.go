// Command fsck lets code that nobody of pxl-audit wrote judge a log directory.
//
//	fsck DIR VKEY                          the whole log, by Tessera's fsck library
//	fsck proof DIR VKEY                    the checkpoint, by x/mod sumdb/note and formats/log
//	fsck proof DIR VKEY INDEX HASH HASH... and an inclusion proof (leaf hash first, base64), by x/mod sumdb/tlog
//
// It prints one line. Exit codes: 0 good, 1 bad, 2 could not judge (no checkpoint, no such key, time-out), 64 wrong usage.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Check can block for ever when more resources are broken than it has workers, so there are many, and an end.
const (
	workers = 256
	timeout = 60 * time.Second
	usage   = "usage: fsck DIR VKEY | fsck proof DIR VKEY [INDEX LEAF-HASH HASH...]"
)

func main() {
	args := os.Args[1:]
	proof := len(args) > 0 && args[0] == "proof"
	if proof {
		args = args[1:]
	}
	if len(args) < 2 || len(args) == 3 || (!proof && len(args) > 3) {
		end(64, usage)
	}
	verifier, err := note.NewVerifier(args[1])
	endIf(err, 2, "the verifier key cannot be read")
	checkpoint, err := os.ReadFile(filepath.Join(args[0], "checkpoint"))
	endIf(err, 2, "no checkpoint")
	parsed := open(checkpoint, verifier)
	if !proof {
		checkLog(args[0], verifier, parsed.Size)
	}
	checkProof(parsed, args[2:])
}

func checkLog(dir string, verifier note.Verifier, size uint64) {
	check := fsck.New(verifier.Name(), verifier, &client.FileFetcher{Root: dir}, hashBundle, fsck.Opts{N: workers})
	result := make(chan error, 1)
	go func() { result <- check.Check(context.Background()) }()
	select {
	case err := <-result:
		endIf(err, 1, "bad")
		end(0, "good: %d entries", size)
	case <-time.After(timeout):
		end(2, "no verdict in %v", timeout)
	}
}

func hashBundle(raw []byte) ([][]byte, error) {
	bundle := &api.EntryBundle{}
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(bundle.Entries))
	for _, entry := range bundle.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

// open has the signature and the text checked by two libraries, and ends the program unless both take them.
func open(checkpoint []byte, verifier note.Verifier) *log.Checkpoint {
	signed, err := note.Open(checkpoint, note.VerifierList(verifier))
	endIf(err, 1, "bad: note")
	parsed, rest, _, err := log.ParseCheckpoint(checkpoint, verifier.Name(), verifier)
	endIf(err, 1, "bad: checkpoint")
	if len(rest) != 0 || !bytes.Equal(parsed.Marshal(), []byte(signed.Text)) {
		end(1, "bad: checkpoint: the text is not origin, size and root alone: %q", signed.Text)
	}
	return parsed
}

func checkProof(parsed *log.Checkpoint, words []string) {
	if len(words) == 0 {
		end(0, "good: checkpoint of %d entries", parsed.Size)
	}
	index, err := strconv.ParseInt(words[0], 10, 64)
	endIf(err, 64, "INDEX")
	hashes := make([]tlog.Hash, len(words)-1)
	for i, word := range words[1:] {
		hashes[i], err = tlog.ParseHash(word)
		endIf(err, 64, "HASH")
	}
	err = tlog.CheckRecord(hashes[1:], int64(parsed.Size), tlog.Hash(parsed.Hash), index, hashes[0])
	endIf(err, 1, "bad: inclusion")
	end(0, "good: entry %d of %d is included", index, parsed.Size)
}

func endIf(err error, code int, what string) {
	if err != nil {
		end(code, "%s: %v", what, err)
	}
}

func end(code int, format string, values ...any) {
	line := strings.Join(strings.Fields(fmt.Sprintf(format, values...)), " ")
	fmt.Println(line[:min(len(line), 200)]) // fsck quotes whole tiles
	os.Exit(code)
}

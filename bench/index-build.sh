#!/bin/bash
# Builds an index of synthetic digests twice: seconds, peak memory, bytes per digest, and whether both files are the same in each
# byte. SQLite and LMDB are filled with the same digests, in their order, in the same run. bench/run index-build [DIGESTS]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
digests=${1:-50000000}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/assay-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
build bench_index
echo "$digests digests, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
number() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" <<< "$2"; }
one=$("$bin/bench_index" build "$work" "$digests")
echo "assay   $one"
mv "$work/bench.idx" "$work/first.idx"
again=$("$bin/bench_index" build "$work" "$digests")
echo "again   $again"
cmp "$work/first.idx" "$work/bench.idx" || { echo "bench: two builds of the same input differ" >&2; exit 1; }
rm "$work/first.idx" "$work/bench.idx"
sqlite=$("$bin/bench_index" fill sqlite "$work" "$digests")
echo "sqlite  $sqlite"
rm "$work/bench.sqlite"
lmdb=$("$bin/bench_index" fill lmdb "$work" "$digests")
echo "lmdb    $lmdb"
ours=$(number seconds "$one") theirs=$(number seconds "$sqlite")
result index-build "$(calc "$digests / $ours / 1e6")" "M digests/s" SQLite "$(calc "$digests / $theirs / 1e6")" "$(calc "$theirs / $ours")"

#!/bin/bash
# Looks up synthetic digests, hits and misses, on one core and on two, in an index and in SQLite and LMDB with the same digests.
# `mps` is by the clock, of all threads; `mps_core`, of which the last line is, what one core does in a second of processor time.
# `present` is the recorder's question, which reads the origins and packages too. bench/run index-lookup [DIGESTS]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
digests=${1:-50000000}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/assay-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
build bench_index
"$bin/bench_index" build "$work" "$digests"
"$bin/bench_index" fill sqlite "$work" "$digests"
"$bin/bench_index" fill lmdb "$work" "$digests"
echo "$digests digests, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg); M lookups/s"
declare -A rate
for what in assay assay-present sqlite lmdb; do
  for threads in 1 2; do
    for kind in hits misses; do
      answer=$("$bin/bench_index" look "$what" "$work" "$digests" "$threads" "$kind")
      rate[$what-$threads-$kind]=$(sed -n 's/.*"mps_core":\([0-9.]*\).*/\1/p' <<< "$answer")
      printf '%-14s %s core(s)  %-6s  %s\n' "$what" "$threads" "$kind" "$answer"
    done
  done
done
result index-lookup "${rate[assay-1-hits]}" "M lookups/s on one core" LMDB "${rate[lmdb-1-hits]}" \
  "$(calc "${rate[assay-1-hits]} / ${rate[lmdb-1-hits]}")"

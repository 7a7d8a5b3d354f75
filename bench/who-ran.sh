#!/bin/bash
# Which hosts ran it: an index of a synthetic fleet, its size, additions a second, and how long 'which hosts' and 'when' take.
# bench/run who-ran [HOSTS [ENTRIES]]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
hosts=${1:-1000000} entries=${2:-5000}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/assay-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
build bench_who_ran
echo "$hosts hosts x $entries entries, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
"$bin/bench_who_ran" build "$work/fleet.who" "$hosts" "$entries"
answer=$("$bin/bench_who_ran" ask "$work/fleet.who" "$hosts" "$entries")
echo "$answer"
worst=$(sed -n 's/.*"which_worst_ms":\([0-9.]*\).*/\1/p' <<< "$answer")
result who-ran "$worst" "ms for which hosts, the worst" aim 10 "$(calc "$worst / 10")"

#!/bin/bash
# How fast a list of a million ima-ng records is replayed, in one and in two banks, against evmctl on the same file in the
# same run. Whole processes are timed, reading the file included. bench/run replay [RECORDS]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
records=${1:-1000000}
runs=5
work=$(mktemp -d /tmp/assay-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
build bench_replay
"$bin/bench_replay" make "$work/list" "$records"
echo "$records ima-ng records, $(stat -c %s "$work/list") bytes, $(nproc) cores"

# evmctl is given the values that we find: that it matches them shows that both did the same work.
pcr_file() { for i in $(seq -w 0 23); do echo "PCR-$i: $([[ $i == 10 ]] && echo "$1" || echo "${1//?/0}")"; done; }
peer=(evmctl ima_measurement)
while read -r bank value; do
  pcr_file "$value" > "$work/$bank"
  peer+=(--pcrs "$bank,$work/$bank")
done < <("$bin/bench_replay" run "$work/list" sha1 sha256)
peer+=("$work/list")

t_one=() t_two=() t_theirs=()
for _ in $(seq $runs); do
  t_one+=("$(seconds "$bin/bench_replay" run "$work/list" sha256)")
  t_two+=("$(seconds "$bin/bench_replay" run "$work/list" sha1 sha256)")
  t_theirs+=("$(seconds "${peer[@]}")")
done
one=$(median "${t_one[@]}") two=$(median "${t_two[@]}") theirs=$(median "${t_theirs[@]}")
version=$(evmctl --version | awk '{ print $2 }')
line() { printf '%-34s %8.3f s  %10.0f records/s\n' "$1" "$2" "$(calc "$records / $2")"; }
line "assay, sha256" "$one"
line "assay, sha1 and sha256" "$two"
line "evmctl $version, sha1 and sha256" "$theirs"
result replay "$(calc "$records / $two")" records/s "evmctl ima_measurement $version" "$(calc "$records / $theirs")" \
  "$(calc "$theirs / $two")"

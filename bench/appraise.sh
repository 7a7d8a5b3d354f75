#!/bin/bash
# How long a list of a million unknown files takes to be appraised, and in how much memory, against `assay log verify` of the
# same list in the same run, which only replays and decodes it. bench/run appraise [RECORDS]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
records=${1:-1000000}
runs=5
work=$(mktemp -d /tmp/assay-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
build bench_appraise assay
value=$("$bin/bench_appraise" "$work/round" "$records")
echo "$records records, $(stat -c %s "$work/round/list.bin") bytes, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"

# measure CODE COMMAND...: its seconds and kilobytes, if it ends with this code.
measure() {
  local want=$1 got=0
  shift
  /usr/bin/time -o "$work/time" -f '%e %M' "$@" > /dev/null || got=$?
  [[ $got -eq $want ]] || { echo "bench: exit code $got: $*" >&2; return 1; }
  tail -1 "$work/time"
}
t_ours=() m_ours=() t_theirs=() m_theirs=()
for _ in $(seq $runs); do
  read -r t m < <(measure 1 "$bin/assay" appraise "$work/round")
  t_ours+=("$t") m_ours+=("$m")
  read -r t m < <(measure 0 "$bin/assay" log verify "$work/round/list.bin" --pcr-value "$value")
  t_theirs+=("$t") m_theirs+=("$m")
done
ours=$(median "${t_ours[@]}") theirs=$(median "${t_theirs[@]}")
line() { printf '%-34s %8.2f s  %8.0f MB\n' "$1" "$2" "$(calc "$3 / 1000")"; }
line "assay appraise" "$ours" "$(median "${m_ours[@]}")"
line "assay log verify" "$theirs" "$(median "${m_theirs[@]}")"
result appraise "$ours" s "assay log verify" "$theirs" "$(calc "$ours / $theirs")"

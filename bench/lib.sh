# Sourced by the benchmarks: building, timing, and the JSON line. They run in the tree's root.
# shellcheck shell=bash
# shellcheck disable=SC2034  # bin is for the benchmarks
bin=build/release/bin

# build TARGET...: in release mode.
build() {
  cmake --preset release >/dev/null
  ninja -C build/release "$@" >/dev/null
}
# seconds COMMAND...: how long it takes, as a whole process. Its output goes nowhere; it must succeed.
seconds() {
  local from=$EPOCHREALTIME
  "$@" >/dev/null 2>&1 || { echo "bench: failed: $*" >&2; return 1; }
  local to=$EPOCHREALTIME
  calc "(${to/,/.} - ${from/,/.})"
}
calc() { awk "BEGIN { printf \"%.6g\", $1 }"; }
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
# result NAME VALUE UNIT PEER PEER_VALUE RATIO: the last line. Without a peer the last three are empty.
result() {
  printf '{"name":"%s","value":%s,"unit":"%s","peer":%s,"peer_value":%s,"ratio":%s}\n' "$1" "$2" "$3" \
    "$([[ -n ${4:-} ]] && echo "\"$4\"" || echo null)" "${5:-null}" "${6:-null}"
}

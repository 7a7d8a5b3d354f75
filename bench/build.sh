#!/bin/bash
# A real C++ build (the rooms base and list of this tree, without a compiler cache), wall time: assayd against nothing.
# shellcheck source-path=SCRIPTDIR
source bench/daemons.sh
start_assayd ""
cat > "$work/build-once" <<'SH'
#!/bin/bash
set -euo pipefail
out=$1 src=$2
rm -rf "$out" && mkdir -p "$out"
start=$EPOCHREALTIME
ls "$src"/base/*.cc "$src"/list/*.cc | grep -vE '_(test|bench|fuzz)\.cc$' |
  xargs -P "$(nproc)" -I{} sh -c 'g++ -std=c++20 -O1 -DASSAY_VERSION="\"bench\"" -I"$1" -c "$2" -o "$3/$(basename "$2").o"' sh "$src" {} "$out"
ar rc "$out/lib.a" "$out"/*.o
awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.3f\n", b - a}'
SH
chmod +x "$work/build-once"
once() { "$@" "$work/build-once" "$work/out" "$PWD/src"; }
once env > /dev/null
once in_assayd > /dev/null
for _ in $(seq 3); do
  once env >> "$work/none"
  once in_assayd >> "$work/assay"
done
for who in none assay; do printf '%-6s %s s (median of 3; %s)\n' "$who" "$(middle "$who")" "$(spread "$who")"; done
result build "$(middle assay)" s "no engine" "$(middle none)" "$(calc "$(middle assay) / $(middle none)")"

#!/bin/bash
# open()+close() of files that are already known to be clean: no engine, assayd, fapolicyd, on the same tree.
# shellcheck source-path=SCRIPTDIR
source bench/daemons.sh
copy_tree "$work/tree" 800
start_assayd ""
start_fapolicyd
# The tree exists in all three: the namespaces are copies of this one.
opener() { "$bin/bench_opener" open "$1" "$work/tree"; }
opener 2 > /dev/null
in_assayd "$bin/bench_opener" open 2 "$work/tree" > /dev/null
in_fapolicyd "$bin/bench_opener" open 2 "$work/tree" > /dev/null
for _ in $(seq 25); do
  opener 40 >> "$work/none"
  in_assayd "$bin/bench_opener" open 40 "$work/tree" >> "$work/assay"
  in_fapolicyd "$bin/bench_opener" open 4 "$work/tree" >> "$work/fapolicyd"
done
for who in none assay fapolicyd; do
  printf '%-10s %8.0f ns for one open+close (median of 25; %s)\n' "$who" "$(middle "$who")" "$(spread "$who")"
done
printf 'assayd against fapolicyd: %s\n' "$(calc "$(middle assay) / $(middle fapolicyd)")"
# Round by round, so that what the machine does meanwhile meets both.
paste "$work/assay" "$work/none" | awk '{print $1 / $2}' > "$work/ratios"
result open-warm "$(middle assay)" ns/open "no engine" "$(middle none)" "$(middle ratios)"

#!/bin/bash
# fork+exec of /bin/true, warm: no engine, assayd, fapolicyd.
# shellcheck source-path=SCRIPTDIR
source bench/daemons.sh
start_assayd ""
start_fapolicyd
in_assayd "$bin/bench_opener" exec 5 /bin/true > /dev/null
in_fapolicyd "$bin/bench_opener" exec 5 /bin/true > /dev/null
for _ in $(seq 25); do
  "$bin/bench_opener" exec 400 /bin/true >> "$work/none"
  in_assayd "$bin/bench_opener" exec 400 /bin/true >> "$work/assay"
  in_fapolicyd "$bin/bench_opener" exec 200 /bin/true >> "$work/fapolicyd"
done
for who in none assay fapolicyd; do
  printf '%-10s %8.1f us for one fork+exec (median of 25; %s ns)\n' "$who" \
    "$(calc "$(middle "$who") / 1000")" "$(spread "$who")"
done
printf 'assayd against fapolicyd: %s\n' "$(calc "$(middle assay) / $(middle fapolicyd)")"
# Round by round, so that what the machine does meanwhile meets both.
paste "$work/assay" "$work/none" | awk '{print $1 / $2}' > "$work/ratios"
result exec "$(middle assay)" ns/exec "no engine" "$(middle none)" "$(middle ratios)"

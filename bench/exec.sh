#!/bin/bash
# fork+exec of /bin/true, warm: no engine, assayd, fapolicyd.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
start_assayd ""
start_fapolicyd
in_assayd "$bin/opener" exec 5 /bin/true > /dev/null
in_fapolicyd "$bin/opener" exec 5 /bin/true > /dev/null
for _ in $(seq 15); do
  "$bin/opener" exec 400 /bin/true >> "$work/none"
  in_assayd "$bin/opener" exec 400 /bin/true >> "$work/assay"
  in_fapolicyd "$bin/opener" exec 200 /bin/true >> "$work/fapolicyd"
done
for who in none assay fapolicyd; do
  printf '%-10s %8.1f us for one fork+exec (median of 15; %s ns)\n' "$who" \
    "$(median < "$work/$who" | awk '{print $1 / 1000}')" "$(spread < "$work/$who")"
done
printf 'assayd against fapolicyd: %s\n' "$(ratio "$(median < "$work/assay")" "$(median < "$work/fapolicyd")")"
result exec "$(median < "$work/assay")" "ns/exec" "no engine" "$(median < "$work/none")"

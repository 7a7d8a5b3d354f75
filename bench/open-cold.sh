#!/bin/bash
# The first open()+close() of files that nobody has seen: no engine, assayd (synchronous, and grouped by a signed
# manifest), fapolicyd. Each round has a tree of its own, in the page cache.
# shellcheck source-path=SCRIPTDIR
source bench/daemons.sh
rounds=5
for who in none assay grouped fapolicyd; do
  for r in $(seq $rounds); do copy_tree "$work/$who-$r" 300; done
done
measure() {  # NAME COMMAND...
  local name=$1
  shift
  for r in $(seq $rounds); do "$@" "$bin/bench_opener" open 1 "$work/$name-$r" >> "$work/$name"; done
}
measure none env
start_assayd ""
measure assay in_assayd
stop_assayd
assay keys make --name manifest --out "$work/keys" > /dev/null
openssl pkey -in "$work/keys/manifest.key" -pubout -out "$work/keys/manifest.pub" 2> /dev/null
assay reference build --out "$work/manifest.idx" --folder "$work/grouped-1" --package tree --version 1 > /dev/null
assay reference sign "$work/manifest.idx" --key "$work/keys/manifest.key" > /dev/null
start_assayd ", \"manifest\": { \"index\": \"$work/manifest.idx\", \"key\": \"$work/keys/manifest.pub\" }"
measure grouped in_assayd
stop_assayd
start_fapolicyd
measure fapolicyd in_fapolicyd
for who in none assay grouped fapolicyd; do
  printf '%-10s %8.1f us for one first open+close (median of %d; %s ns)\n' "$who" \
    "$(calc "$(middle "$who") / 1000")" $rounds "$(spread "$who")"
done
echo "assay: hashed, recorded and extended one by one. grouped: in a signed manifest. fapolicyd hashes nothing (integrity = none)."
result open-cold "$(middle grouped)" ns/open fapolicyd "$(middle fapolicyd)" "$(calc "$(middle grouped) / $(middle fapolicyd)")"

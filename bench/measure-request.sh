#!/bin/bash
# A program that has each file measured before it reads it (libassay): the request for a file that is new, and for one that has
# not changed, against open+read+close of the same files in the same run. The files have 4 KiB, and libassay's table has room for them.
# shellcheck source-path=SCRIPTDIR
source bench/daemons.sh
build bench_measure_request
start_assayd ""
for round in 1 2 3 4 5; do
  mkdir "$work/files$round"
  for i in $(seq 256); do head -c 4096 /dev/urandom > "$work/files$round/$i"; done
done
sleep 3 # a file that changed within two seconds is asked for each time
for round in 1 2 3 4 5; do
  read -r opened new clean buffer < <("$bin/bench_measure_request" "$work/ima" "$work/files$round" 50)
  echo "$opened" >> "$work/open"
  echo "$new" >> "$work/new"
  echo "$clean" >> "$work/clean"
  echo "$buffer" >> "$work/buffer"
done
printf '%-34s %8.0f ns (median of 5; %s)\n' "open+read+close" "$(middle open)" "$(spread open)" \
  "request, the file is new" "$(middle new)" "$(spread new)" "request, the file is unchanged" "$(middle clean)" "$(spread clean)" \
  "request, a buffer that is known" "$(middle buffer)" "$(spread buffer)"
result measure-request "$(middle clean)" ns/request "open+read+close" "$(middle open)" "$(calc "$(middle clean) / $(middle open)")"

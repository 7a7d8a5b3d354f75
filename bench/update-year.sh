#!/bin/bash
# A verifier and its hosts through a year of updates, by a seed: how many of the planted downgrades and alterations are found, and
# how many false alarms there are. It fails unless all are found and none is false. bench/run update-year [SEED [DAYS [HOSTS]]]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build bench_update_year
"$bin/bench_update_year" "${1:-1}" "${2:-365}" "${3:-100}" > /tmp/assay-year.$$
trap 'rm -f /tmp/assay-year.$$' EXIT
cat /tmp/assay-year.$$
member() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" /tmp/assay-year.$$; }
found=$(member found) planted=$(member planted)
result update-year "$found" "planted changes found" planted "$planted" "$(calc "$found / $planted")"

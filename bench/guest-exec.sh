#!/bin/bash
# Exec of a clean program: the lsm engine against the kernel's own IMA, in guests.
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build bench_opener assay-engine
exec bench/guest_compare.py exec "$@"

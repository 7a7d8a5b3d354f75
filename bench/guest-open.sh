#!/bin/bash
# open()+close() of files that are no code, by a program that is no interpreter: the lsm engine against the kernel's own IMA,
# in guests.
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build bench_opener assay-engine
exec bench/guest_compare.py open "$@"

#!/bin/bash
# First measurement of files of 64 KiB and of 16 MiB: the lsm engine against the kernel's own IMA, in guests.
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build bench_opener assay-engine
exec bench/guest_compare.py first "$@"

#!/bin/bash
# A boot's worth: 1,500 distinct files, in instructions, and in time with a software TPM and with 6 ms for each extend: the lsm engine against the kernel's own IMA, in guests.
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build bench_opener assay-engine
exec bench/guest_compare.py boot

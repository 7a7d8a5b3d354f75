#!/bin/bash
# A build in C with this machine's compiler, everything measured before, in instructions and in time: the lsm engine against the
# kernel's own IMA and against nothing, in guests.
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build bench_opener assay-engine
exec bench/guest_compare.py build "$@"

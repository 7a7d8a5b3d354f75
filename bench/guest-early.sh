#!/bin/bash
# Seconds that a boot up to multi-user takes more with the attester in the initramfs, against the same with ima_policy=tcb: firmware, UKI, systemd, in guests.
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build assay assayd assay-net assay_client man
exec bench/guest_early.py "$@"

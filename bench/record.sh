#!/bin/bash
# First measurements per second: synchronous and grouped, with swtpm as it is and as slow as a chip.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build bench_record tpm_delay
ASSAY_TPM_DELAY_US=6000 "$bin/bench_record" "$(find build/release -name libtpm_delay.so)"

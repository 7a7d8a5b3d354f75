#!/usr/bin/python3
"""What an early start costs: the kernel's clock when the last unit is up, with the attester in the initramfs, without it, and
with the kernel's own IMA under ima_policy=tcb instead. guest_early.py [ROUNDS]
"""

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests/guest/harness"))
import system  # noqa: E402

WITHOUT = system.OPTIONS + " systemd.mask=assayd.service"


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix="assay-early.") as work:
        folder = Path(work)
        made = system.System(folder / "machine", TOP / "build/release")
        made.make({"tpm": {"tcti": "device:/dev/tpmrm0"}, "engine": {"scope": "host", "engine": "lsm"}}, {})
        without = folder / "initrd-without"
        made.make_initrd(without, early=False)
        system.manufacture(folder / "factory", folder / "authority")
        kinds = {
            "without an attester": {"initrd": without, "options": WITHOUT},
            "attester in the initramfs": {},
            "kernel IMA (tcb)": {"initrd": without, "options": WITHOUT + " ima_policy=tcb"},
        }
        times = {kind: [] for kind in kinds}
        for _ in range(rounds):  # in turn, since the machine may be busier now than later
            for kind, parts in kinds.items():
                tpm = shutil.copytree(folder / "factory", folder / "tpm")
                with system.SystemMachine(made, made.parts(**parts), tpm, boot_timeout=600) as guest:
                    times[kind].append(guest.uptime)
                shutil.rmtree(tpm)
        for kind, values in times.items():
            print(f"{kind:28} {statistics.median(values):7.1f} s   spread {min(values):.1f} to {max(values):.1f}", flush=True)
        bare, ours, theirs = (statistics.median(values) for values in times.values())
        result = {"name": "guest-early", "value": round(ours - bare, 1), "unit": "s", "peer": "kernel IMA (tcb)",
                  "peer_value": round(theirs - bare, 1)}
        ratio = round((ours - bare) / (theirs - bare), 2) if theirs > bare else None
        print(json.dumps({**result, "ratio": ratio}))


main()

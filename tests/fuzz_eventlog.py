"""Altered event logs, read by `assay boot show --json` and by tpm2_eventlog. fuzz_eventlog.py BIN RUNS [SEED]

Real logs are altered event by event or byte by byte. Must hold: assay ends with 0 or with a named error; where both read a
log, each event's register, type, size and digests and each replayed PCR are the same (compare_eventlog.py; what is in event
data is compared on real logs only: of altered data tpm2_eventlog prints whatever it finds). That one refuses what the other
reads is counted: assay is strict about the whole, tpm2_eventlog about some events' data, and it crashes on some logs.
"""

import collections
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from compare_eventlog import compare, read_theirs

HERE = Path(__file__).resolve().parent
SIZES = {4: 20, 11: 32, 12: 48, 13: 64}


def split(log):
    """A crypto-agile log as its header and its events; None if it is another format."""
    size = struct.unpack_from("<I", log, 28)[0]
    if log[32:48] != b"Spec ID Event03\0":
        return None
    at = 32 + size
    parts = [log[:at]]
    while at + 12 <= len(log):
        end = at + 12
        for _ in range(struct.unpack_from("<I", log, at + 8)[0]):
            if struct.unpack_from("<H", log, end)[0] not in SIZES:
                return parts
            end += 2 + SIZES[struct.unpack_from("<H", log, end)[0]]
        end += 4 + struct.unpack_from("<I", log, end)[0]
        parts.append(log[at:end])
        at = end
    return parts


def altered(rng, log):
    parts = split(log)
    for _ in range(rng.randint(1, 4)):
        way = rng.randrange(8)
        if parts and len(parts) > 3 and way < 5:
            i, j = rng.randrange(1, len(parts)), rng.randrange(1, len(parts))
            if way == 0:
                del parts[i]
            elif way == 1:
                parts.insert(j, parts[i])
            elif way == 2:
                parts[i], parts[j] = parts[j], parts[i]
            elif way == 3:  # another register
                parts[i] = struct.pack("<I", rng.randrange(26)) + parts[i][4:]
            else:  # another type
                kind = rng.choice([0, 1, 3, 4, 5, 6, 7, 8, 0xA, 0xD, 0x80000001, 0x80000002, 0x80000003, 0x80000006, 0x80000007,
                                   0x80000008, 0x80000009, 0x8000000A, 0x800000E0, rng.randrange(1 << 32)])
                parts[i] = parts[i][:4] + struct.pack("<I", kind) + parts[i][8:]
            continue
        whole = bytearray(b"".join(parts) if parts else log)
        at = rng.randrange(len(whole) or 1)
        if way == 5:
            del whole[at:]
        elif way == 6:
            whole[at:at + 1] = rng.randbytes(1)
        else:
            whole[at:at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0", rng.randbytes(4)])
        log = bytes(whole)
        parts = None
    return b"".join(parts) if parts else log


def main(folder, runs, seed="1"):
    rng = random.Random(int(seed))
    real = Path(os.environ.get("ASSAY_REAL_DATA") or HERE.parent.parent / "shared/data")
    seeds = [p.read_bytes() for p in sorted([*HERE.glob("data/boot/*/binary_bios_measurements"),
                                             *(p for p in real.glob("eventlogs/*") if not p.name.endswith("-bogus"))])]
    counts, fields, bad = collections.Counter(), 0, 0
    with tempfile.TemporaryDirectory(prefix="assay-eventlog.") as work:
        for number in range(int(runs)):
            log = altered(rng, rng.choice(seeds))
            path, printed = os.path.join(work, "log"), os.path.join(work, "theirs")
            Path(path).write_bytes(log)
            ours = subprocess.run([f"{folder}/assay", "--json", "boot", "show", path], capture_output=True, timeout=60, check=False)
            with open(printed, "wb") as out:
                try:
                    theirs = subprocess.run(["tpm2_eventlog", path], stdout=out, stderr=subprocess.DEVNULL, timeout=20, check=False).returncode
                except subprocess.TimeoutExpired:
                    theirs = "hang"
            known = ours.returncode == 0 or (ours.returncode == 70 and re.search(rb'"(parse\.[a-z-]+|boot\.no-bank)"', ours.stdout))
            they = "read" if theirs == 0 else "refused" if theirs in (1, 2) else "crashed"
            counts[f"assay {'read' if ours.returncode == 0 else 'refused'}, tpm2_eventlog {they}"] += 1
            lines = [] if known else [f"assay ended with {ours.returncode}: {ours.stderr[:200]}"]
            if ours.returncode == 0 and theirs == 0:
                some, lines = compare(json.loads(ours.stdout), *read_theirs(printed), decoded=False)
                fields += some
            if lines:
                bad += 1
                kept = f"/tmp/assay-eventlog-{seed}-{number}"
                Path(kept).write_bytes(log)
                print(f"{kept}: {lines[0]}", flush=True)
    for what, count in sorted(counts.items()):
        print(f"{count:8} {what}")
    print(f"{fields} fields compared, {bad} logs differ")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/python3
"""In the guest: runs every way of `ways` and prints, as JSON lines, what the measurement list gained by each.

coverage_guest.py assay|ima|hooks [WAY...]
"""

import json
import lzma
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

WAYS = "/files/bin/ways"
COPIES = Path("/var/tmp/ways-programs")  # a program for each way: a recorder names each once
IMA = Path("/sys/kernel/security/ima/binary_runtime_measurements_sha256")
RUN = Path("/run/engine")
VIOLATIONS = """open_writers ToMToU unmeasurable mprotect modified_code anonymous_code writable_code process_access raw_device
kernel_memory kexec_load unanswered guarded shared_writable userfault identity hooks_off hooks_silent lockdown""".split()


def field(data, at):
    """A length and its bytes; where they end."""
    (size,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + size], at + 4 + size


def records(data):
    """((record, position in its group), is a violation, file digest, name) of each entry of a SHA-256 list."""
    found = []
    at = index = 0

    def add(place, violation, fields):
        digest, rest = field(fields, 0)
        name, rest = field(fields, rest)
        name = name.split(b"\0")[0].decode(errors="replace")
        if name == "assay-group":
            group, at, sub = field(fields, rest)[0], 0, 0
            while at < len(group):
                _, at = field(group, at)
                inner, at = field(group, at)
                add((place[0], sub), False, inner)
                sub += 1
            return
        digest = digest[-32:]
        found.append((place, violation or digest == bytes(32), digest.hex(), name))

    while at < len(data):
        column = data[at + 4 : at + 36]
        _, at = field(data, at + 36)
        fields, at = field(data, at)
        add((index, 0), column == bytes(32), fields)
        index += 1
    return found


def hooks(data):
    """The hook of each entry, from the journal (docs/formats/state.md)."""
    found = {}
    at = 0
    while at + 2 <= len(data):
        (size,) = struct.unpack_from("<H", data, at)
        entry = data[at + 2 : at + 2 + size]
        at += 2 + size
        place = struct.unpack_from("<QI", entry)
        comm = entry[28]
        hook = entry[29 + comm]
        found[place] = entry[30 + comm : 30 + comm + hook].decode()
    return found


class Assay:
    def __init__(self):
        RUN.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "engine", RUN], check=True)
        self.start()

    def start(self, *options):
        self.log = open("/tmp/engine.log", "w+")
        command = ["/files/bin/assay-engine", RUN, "--engine", "lsm", *options]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        for _ in range(600):
            if "ready" in Path("/tmp/engine.log").read_text():
                return
            time.sleep(0.1)
        sys.exit("the engine did not start:\n" + Path("/tmp/engine.log").read_text())

    def list(self):
        journal = hooks((RUN / "list/journal").read_bytes())
        entries = records((RUN / "list/list").read_bytes())
        return [(v, d, n, journal.get(place, "violation" if v else "")) for place, v, d, n in entries]

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        sys.stderr.write(Path("/tmp/engine.log").read_text())


class Hooked:
    """The attester, and the wrapper in place of the shells, with bash's builtin."""

    LIST = Path("/run/assay/binary_runtime_measurements_sha256")

    def __init__(self):
        binaries = Path(WAYS).parent
        shutil.copy(binaries / "libassay.so.0", "/usr/lib/x86_64-linux-gnu")
        for folder in ("/usr/lib/assay/bash", "/usr/local/lib/assay/bash"):
            os.makedirs(folder)
            for name in ("assay.so", "bash-env"):
                shutil.copy(binaries / name, folder)
        os.makedirs("/etc/assay")
        Path("/etc/assay/assayd.json").write_text(
            '{"engine": {"scope": "host", "engine": "lsm"}, "tpm": {"tcti": "device:/dev/tpmrm0"}, "serve": {"unix": false}}'
        )
        self.log = open("/tmp/assayd.log", "w")
        self.process = subprocess.Popen([binaries / "assayd"], stdout=self.log, stderr=self.log)
        for _ in range(600):
            if self.LIST.exists() and self.LIST.read_bytes().find(b"assay-engine") >= 0:
                break
            time.sleep(0.1)
        else:
            sys.exit("the attester did not start:\n" + Path("/tmp/assayd.log").read_text())
        for shell in ("/usr/bin/dash", "/usr/bin/bash"):
            os.rename(shell, shell + ".distrib")
            shutil.copy(binaries / "assay-sh", shell)

    def list(self):
        return [(v, d, n, "violation" if v else "") for _, v, d, n in records(self.LIST.read_bytes())]

    def end(self):
        self.process.terminate()
        self.process.wait(60)


class Ima:
    def list(self):
        return [(v, d, n, "violation" if v else "") for _, v, d, n in records(IMA.read_bytes())]

    def end(self):
        pass


def one(engine, name, what):
    """Runs one way; what it said, and what the list gained."""
    program = COPIES / name
    shutil.copy(WAYS, program)
    before = len(engine.list())
    try:
        done = subprocess.run(
            [program, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=180, check=False
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as e:
        code, out, err = -1, (e.stdout or b"").decode(), "time was up"
    lines = out.splitlines()
    said = [line.split()[1] for line in lines if line.startswith("digest ")]
    # What is told without waiting may take a moment.
    for _ in range(6):
        time.sleep(0.4)
        new = engine.list()[before:]
        left = [d for v, d, _, _ in new if not v]
        found = 0
        for digest in said:
            if digest in left:
                left.remove(digest)
                found += 1
        if found == len(said) and new:
            break
    return {
        "name": name,
        "what": what,
        "code": code,
        "error": err.strip()[-300:],
        "ran": lines.count("ran"),
        "unsupported": next((line[12:] for line in lines if line.startswith("unsupported ")), ""),
        "said": len(said),
        "found": found,
        "violations": sorted({h for v, _, _, h in new if v}),
        "new": [f"{h}:{n}:{d[:8]}" for _, d, n, h in new],
    }


def main():
    module = next(Path("/lib/modules").glob("*/kernel/drivers/net/dummy.ko*"))
    data = module.read_bytes()
    Path("/var/tmp/ways-module.ko").write_bytes(lzma.decompress(data) if module.suffix == ".xz" else data)
    os.chmod("/var/tmp", 0o777)
    COPIES.mkdir(mode=0o755)
    subprocess.run(["modprobe", "overlay"], check=True)
    engine = {"assay": Assay, "hooks": Hooked, "ima": Ima}[sys.argv[1]]()
    names = [line.split("\t") for line in subprocess.check_output([WAYS, "list"], text=True).splitlines()]
    unseen = []
    for name, what in names:
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        row = one(engine, name, what)
        print(json.dumps(row), flush=True)
        if row["said"] and not row["found"] and not row["violations"] and not row["unsupported"] and row["code"] == 0:
            unseen.append((name, what))
    engine.end()
    # The same as IMA's policy for what root reads: every file.
    if unseen and sys.argv[1] == "assay":
        engine.start("--all-files")  # pylint: disable=no-member
        for name, what in unseen:
            print(json.dumps({**one(engine, name, what), "all_files": True}), flush=True)
        engine.end()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""In the guest: does one piece of work and prints its times, a JSON list of numbers (ns for one), each from one round.

guest_work.py WHAT ENGINE        WHAT: exec, mmap, open, first-64k, first-16m, boot or build; ENGINE: none, ima, assay or assay-grouped
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

WORK = Path("/var/tmp/bench")  # on the root file system: tcb leaves out what is read from tmpfs
RUN = Path("/run/engine")
HEAD = Path("/bin/true").read_bytes()[:64]  # the header of a program
KIB, MIB = 1 << 10, 1 << 20


def start_engine(grouped):
    RUN.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "engine", RUN], check=True)
    log = Path("/tmp/engine.log")
    with open(log, "w", encoding="utf-8") as out:
        command = ["/files/bin/assay-engine", RUN, "--engine", "lsm"] + (["--grouped"] if grouped else [])
        subprocess.Popen(command, stdout=out, stderr=out)
    for _ in range(1200):
        if "ready lsm" in log.read_text():
            return
        time.sleep(0.1)
    sys.exit("the engine did not start:\n" + log.read_text())


def folder(name, count, size):
    """New files with code at their beginning; in the page cache, and nobody writes to them any more."""
    path = WORK / name
    path.mkdir(parents=True)
    for i in range(count):
        (path / str(i)).write_bytes(HEAD + os.urandom(size - len(HEAD)))
    os.sync()
    return path


def opener(what, rounds, target):
    done = subprocess.run(["/files/bin/bench_opener", what, str(rounds), str(target)], stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def build():
    """Compiles and archives what lies in /files/bin/source with the compiler in /files/bin/tools; ns."""
    tools, out = Path("/files/bin/tools"), WORK / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    libraries = tools / "usr/lib/x86_64-linux-gnu"
    gcc = [tools / "usr/bin/gcc-12", f"--sysroot={tools}", f"-B{tools}/usr/bin", "-O1", "-w", "-I/files/bin/source"]
    env = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
    started = time.monotonic_ns()
    for source in sorted(Path("/files/bin/source").glob("*.c")):
        subprocess.run([*gcc, "-c", source, "-o", out / f"{source.stem}.o"], env=env, check=True)
    subprocess.run([tools / "usr/bin/x86_64-linux-gnu-ar", "rcs", out / "all.a", *sorted(out.glob("*.o"))], env=env, check=True)
    return time.monotonic_ns() - started


def main():
    what, engine = sys.argv[1:]
    if engine.startswith("assay"):
        start_engine(engine == "assay-grouped")
    opener("exec", 1, "/bin/true")
    if what == "exec":
        shutil.copy("/bin/true", "/var/tmp/true")
        opener("exec", 5, "/var/tmp/true")
        times = [opener("exec", 60, "/var/tmp/true") for _ in range(9)]
    elif what == "mmap":
        files = folder("clean", 50, 64 * KIB)
        opener("mmap", 1, files)
        times = [opener("mmap", 40, files) for _ in range(9)]
    elif what == "open":
        files = WORK / "text"
        files.mkdir(parents=True)
        for i in range(50):
            (files / str(i)).write_text("no code\n" * 100)
        os.sync()
        opener("open", 1, files)
        times = [opener("open", 200, files) for _ in range(9)]
    elif what == "first-64k":
        times = [opener("mmap", 1, folder(f"new{i}", 40, 64 * KIB)) for i in range(7)]
    elif what == "first-16m":
        times = [opener("mmap", 1, folder(f"new{i}", 2, 16 * MIB)) for i in range(5)]
    elif what == "build":
        print(f"the first build: {build() / 1e6:.0f} ms", file=sys.stderr)
        times = [build() for _ in range(5)]
    else:
        times = [opener("mmap", 1, folder(f"boot{i}", 1500, 16 * KIB)) * 1500 for i in range(3)]
    print(json.dumps(times))


main()

#!/usr/bin/python3
"""Compares the lsm engine with the kernel's own IMA (ima_policy=tcb): same kernel, same work, a guest for each.

guest_compare.py exec|mmap|open|first|boot|build [--wall]
guest_compare.py --check BIN NAME...        is a recorded ratio (ratios.json) exceeded? BIN: the build's programs

Instructions are counted (QEMU's -icount), which a busy machine does not disturb; --wall takes the time instead. boot and build do both,
because the time that a TPM takes is none of the guest's instructions.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
BIN = TOP / "build/release/bin"
IMA = "kernel IMA (tcb)"
COUNTED = (["--tpm", "--icount"], "thousand instructions", "instructions")
TIMED = (["--tpm"], "us", "ns")
# A guest whose instructions are counted skips the time in which it waits. On a busy machine swtpm then takes seconds of the guest's time
# for an answer, and the guest's driver gives up.
TPM_IS_LATE = "the TPM does not answer"
TRIES = 4
ALLOWED = 1.03  # how much more than its recorded ratio a work may cost


# What a C compiler consists of. Sources that are small and need nothing but libc.
TOOLS = "gcc-12 cpp-12 binutils binutils-x86-64-linux-gnu libbinutils libctf0 libctf-nobfd0 libgcc-12-dev libc6-dev linux-libc-dev"
LIBRARIES = "libmpc3 libmpfr6 libgmp10 libisl23 libzstd1 libjansson4"
SOURCES = ["src/libassay/*.c", "tests/guest/init.c", "tests/guest/payload_*.c", "tests/guest/rootkit_preload.c", "tests/guest/rootkit_syslogd.c"]


def toolchain(into):
    """This machine's own compiler and the sources to build."""
    owned = subprocess.run(["dpkg", "-L", *TOOLS.split(), *LIBRARIES.split()], stdout=subprocess.PIPE, text=True, check=True)
    names = [n for n in owned.stdout.splitlines() if n.startswith(("/usr/bin", "/usr/lib", "/usr/include", "/lib")) and not Path(n).is_dir()]
    names += ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libm.so.6"]
    tools, source = into / "tools", into / "source"
    for name in names:
        path = Path(name)
        target = tools / str(path.parent.resolve() / path.name).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() and path.exists():
            shutil.copy(path, target)
    (tools / "lib").symlink_to("usr/lib")
    (tools / "lib64").symlink_to("usr/lib64")
    source.mkdir()
    shutil.copy(TOP / "include/assay.h", source)
    for pattern in SOURCES:
        for path in TOP.glob(pattern):
            shutil.copy(path, source / f"{path.parent.name}_{path.name}")


def run(what, engine, *options, programs=BIN):
    """The times (ns) of one guest's rounds."""
    with tempfile.TemporaryDirectory() as work:
        files = Path(work) / "bin"
        files.mkdir()
        for name in ("bench_opener", "assay-engine"):
            shutil.copy(programs / name, files)
            subprocess.run(["strip", files / name], check=True)
        shutil.copy(TOP / "bench/guest_work.py", files)
        if what == "build":
            toolchain(files)
        command = [TOP / "scripts/guest", "run", "--memory", "1536", "--files", f"{files}:bin", "--timeout", "900", *options]
        command += ["--append", "ima_policy=tcb"] if engine == "ima" else []
        command += ["--", "python3", "/files/bin/guest_work.py", what, engine]
        for _ in range(TRIES):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode == 0:
                return json.loads(done.stdout.splitlines()[-1])
            print(done.stdout + done.stderr, file=sys.stderr)
            if TPM_IS_LATE not in done.stdout + done.stderr:
                break
        sys.exit(f"bench: the guest with {engine} failed ({done.returncode})")


def show(label, times, unit="us"):
    middle = statistics.median(times)
    print(f"{label:34} {middle / 1000:12.1f} {unit}   spread {min(times) / 1000:.1f} to {max(times) / 1000:.1f}", flush=True)
    return middle


def result(name, ours, peer, theirs, unit="ns"):
    values = {"name": name, "value": round(ours), "unit": unit, "peer": peer, "peer_value": round(theirs)}
    print(json.dumps({**values, "ratio": round(ours / theirs, 3)}))


def boot():
    counted = COUNTED[0][1:]
    theirs = show("IMA, no TPM", run("boot", "ima", *counted), COUNTED[1])
    ours = show("lsm engine, software TPM", run("boot", "assay-grouped", *COUNTED[0]), COUNTED[1])
    result("guest-boot-instructions", ours, f"{IMA} without a TPM", theirs, COUNTED[2])
    bare = show("IMA, no TPM", run("boot", "ima"))
    show("IMA, software TPM", run("boot", "ima", "--tpm"))
    show("lsm engine, software TPM", run("boot", "assay-grouped", "--tpm"))
    show("IMA, 6 ms an extend", run("boot", "ima", "--tpm", "--tpm-delay", "6"))
    ours = show("lsm engine, 6 ms an extend", run("boot", "assay-grouped", "--tpm", "--tpm-delay", "6"))
    result("guest-boot", ours, f"{IMA} without a TPM", bare)


def compare(what, way):
    options, short, unit = way
    for size in ("first-64k", "first-16m") if what == "first" else (what,):
        show(f"{size}: no engine", run(size, "none", *options), short)
        theirs = show(f"{size}: {IMA}", run(size, "ima", *options), short)
        ours = show(f"{size}: lsm engine", run(size, "assay", *options), short)
        result(f"guest-{size}", ours, IMA, theirs, unit)


def check(programs, names):
    """Fails if a work costs more instructions against the kernel's IMA than it did when its ratio was recorded."""
    recorded = json.loads((TOP / "bench/ratios.json").read_text(encoding="utf-8"))
    over = []
    for name in names:
        options, short, _ = COUNTED
        theirs = show(f"{name}: {IMA}", run(name, "ima", *options, programs=programs), short)
        ours = show(f"{name}: lsm engine", run(name, "assay", *options, programs=programs), short)
        most = recorded[name] * ALLOWED
        print(f"{name}: ratio {ours / theirs:.3f}, recorded {recorded[name]:.3f}, at most {most:.3f}", flush=True)
        over += [name] if ours / theirs > most else []
    if over:
        sys.exit(f"bench: more instructions than recorded (bench/ratios.json): {', '.join(over)}")


def main():
    if sys.argv[1] == "--check":
        check(Path(sys.argv[2]), sys.argv[3:])
        return
    what = sys.argv[1]
    if what == "boot":
        boot()
        return
    if "--wall" not in sys.argv:
        compare(what, COUNTED)
    if what == "build" or "--wall" in sys.argv:
        compare(what, TIMED)


main()

"""Test files: many cases in one boot.

A file is read line by line; indented lines belong to the RUN or SETUP above them. See tests/guest/README.md.
"""

import os
import re
import shlex
import shutil
import sys
import textwrap
import time
from pathlib import Path

import images
import kernels
import machine

DEFAULT_TIMEOUT = 240
# A case during which the kernel complains has failed, whatever it printed.
COMPLAINT = re.compile(r"BUG: |WARNING: CPU|Oops: |general protection fault|refcount_t: |blocked for more than|Call Trace:")
# Every script starts so: a failing command fails the case.
PRELUDE = "set -euo pipefail; . /files/guest/lib.sh; "


class FileError(Exception):
    """A test file that cannot be understood."""


class Case:
    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.needs = []
        self.script = None
        self.expect = []
        self.refuse = []
        self.exit = 0
        self.timeout = DEFAULT_TIMEOUT


def script(lines):
    """A block's text: what follows the word itself, and the indented lines below without their common indentation."""
    return "\n".join([lines[0], textwrap.dedent("\n".join(lines[1:]))]) if lines else ""


class TestFile:
    def __init__(self, path):
        self.path = Path(path)
        self.kernels = ["6.12", "6.1"]
        self.matrix = []      # further kernels for --matrix
        self.guest = []       # options of scripts/guest run
        self.programs = []    # of the build, to be found in /files/bin
        self.modules = []     # sources of kernel modules beside the test file; they are in /files/bin too
        self.require = []     # features without which the file fails
        self.setup = []
        self.cases = []
        self._parse()

    def _parse(self):
        block = None  # the list that indented lines go to
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            where = f"{self.path}:{number}"
            if line[:1] in (" ", "\t"):
                if block is None:
                    raise FileError(f"{where}: an indented line without RUN or SETUP above it")
                block.append(line)
                continue
            if not line.strip() or line.startswith("#"):
                if block is not None and not line.strip():
                    block.append("")
                continue
            word, _, rest = line.partition(" ")
            rest = rest.strip()
            case = self.cases[-1] if self.cases else None
            block = None
            if word == "KERNELS" and case is None:
                self.kernels = rest.split()
            elif word == "MATRIX" and case is None:
                self.matrix = rest.split()
            elif word == "GUEST" and case is None:
                self.guest += shlex.split(rest)
            elif word == "PROGRAMS" and case is None:
                self.programs += rest.split()
            elif word == "MODULES" and case is None:
                self.modules += rest.split()
            elif word == "REQUIRE" and case is None:
                self.require += rest.split()
            elif word == "SETUP" and case is None:
                self.setup = block = [rest]
            elif word == "NAME" and rest:
                self.cases.append(Case(rest, number))
            elif case is None:
                raise FileError(f"{where}: {word} before the first NAME, or unknown")
            elif word == "RUN":
                case.script = block = [rest]
            elif word == "NEEDS":
                case.needs += rest.split()
            elif word in ("EXPECT", "REFUSE"):
                getattr(case, word.lower()).append(re.compile(rest, re.MULTILINE))
            elif word == "EXIT":
                case.exit = int(rest)
            elif word == "TIMEOUT":
                case.timeout = float(rest)
            else:
                raise FileError(f"{where}: unknown word {word}")
        self.setup = script(self.setup)
        for case in self.cases:
            if case.script is None:
                raise FileError(f"{self.path}:{case.line}: no RUN")
            case.script = script(case.script)
        if not self.cases:
            raise FileError(f"{self.path}: no case")


def stage_programs(names, folder, into):
    """Hard links where possible: mke2fs copies them anyway."""
    for name in names:
        if folder is None or not (folder / name).exists():
            raise images.ImageError(f"program {name} is not in {folder or 'a build: give --bin'}")
    into.mkdir()
    for name in names:
        source, target = folder / name, into / Path(name).name
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copy2(source, target)


class FileRun:
    """One test file on one kernel."""

    def __init__(self, test, series, options_of, arguments):
        self.test = test
        self.series = series
        self.options_of = options_of
        self.arguments = arguments
        self.results = Path(arguments.results) / f"{test.path.stem}-{series}"
        self.guest = None
        self.features = None
        self.passed = self.failed = self.skipped = 0
        self.boots = 0
        self.boot_seconds = 0.0

    def _options(self):
        files = [f"{images.TREE / 'tests/guest'}:guest"]
        if self.test.programs:
            bin_folder = self.results / "bin"
            if not bin_folder.exists():
                modules = [(n, kernels.kernel_module(self.series, self.test.path.parent / n)) for n in self.test.modules]
                stage_programs(self.test.programs, Path(self.arguments.bin) if self.arguments.bin else None, bin_folder)
                for name, module in modules:
                    if module:
                        shutil.copy2(module, bin_folder / Path(name).with_suffix(".ko"))
            files.append(f"{bin_folder}:bin")
        log = self.results / f"kernel-{self.boots}.log"
        return self.options_of([*self.test.guest, "--kernel", self.series, "--log", str(log)], files)

    def _script(self, text, timeout, keep=False):
        """Runs a script; returns the job and its output, stdout and stderr as they came."""
        out = []
        before = len(self.guest.log_text())
        job = self.guest.run(["/bin/bash", "-c", PRELUDE + text], timeout, out.append, out.append, keep)
        kernel = self.guest.log_text()[before:]
        return job, b"".join(out).decode(errors="replace"), kernel

    def _up(self):
        """Boots if there is no guest, asks it for features and runs SETUP. Raises GuestError."""
        if self.guest is not None:
            return
        self.boots += 1
        guest = machine.Machine(self._options())
        guest.__enter__()
        self.guest = guest
        self.boot_seconds += guest.boot_seconds
        wanted = sorted({n for c in self.test.cases for n in c.needs} | set(self.test.require))
        if wanted:
            job, out, _ = self._script("exec /files/guest/features " + shlex.join(wanted), 60)
            if job.status != 0:
                raise machine.GuestError("guest.setup", "probing for features failed", out + job.diagnostics)
            self.features = set(out.split())
            for name in self.test.require:
                if name not in self.features:
                    raise machine.GuestError("guest.feature", f"the kernel has no {name}", out)
        if self.test.setup:
            job, out, _ = self._script(self.test.setup, 240, keep=True)
            if job.status != 0:
                raise machine.GuestError("guest.setup", f"SETUP ended with {job.status}", out + job.diagnostics)

    def _down(self):
        guest, self.guest = self.guest, None
        if guest is not None:
            guest.close()

    def _case(self, case):
        """(fault or None, output) of one case."""
        job, out, kernel = self._script(case.script, case.timeout)
        fault = None
        if job.timed_out:
            fault = f"guest.timeout: killed after {case.timeout:g} s"
        elif COMPLAINT.search(kernel):
            fault = f"guest.kernel-complaint: {COMPLAINT.search(kernel)[0].strip()}"
        elif job.status != case.exit:
            fault = f"exit code {job.status}, not {case.exit}"
        else:
            for pattern in case.expect:
                if not pattern.search(out):
                    fault = f"no output matches {pattern.pattern}"
            for pattern in case.refuse:
                if pattern.search(out):
                    fault = f"output matches {pattern.pattern}"
        if job.diagnostics:
            out += "\n-- what was killed\n" + job.diagnostics
        if kernel:
            out += "\n-- kernel log\n" + kernel
        return fault, out

    def run(self, deadline):
        shutil.rmtree(self.results, ignore_errors=True)
        self.results.mkdir(parents=True)
        started = time.monotonic()
        chosen = [c for c in self.test.cases if not self.arguments.only or re.search(self.arguments.only, c.name)]
        print(f"# {self.test.path.stem} on {self.series}\n1..{len(chosen)}", flush=True)
        dead_boots = 0
        try:
            for number, case in enumerate(chosen, 1):
                begun = time.monotonic()
                out = ""
                if begun > deadline:
                    fault = "guest.budget: the time for all cases was used up"
                elif dead_boots >= 2:
                    fault = "guest.no-boot: see above"
                else:
                    try:
                        self._up()
                        missing = [n for n in case.needs if n not in self.features]
                        if missing:
                            self.skipped += 1
                            print(f"ok {number} - {case.name} # SKIP no {', '.join(missing)}", flush=True)
                            continue
                        begun = time.monotonic()
                        fault, out = self._case(case)
                        dead_boots = 0
                    except (machine.GuestError, images.ImageError) as error:
                        # The next case gets a new guest.
                        fault = str(error)
                        out = getattr(error, "log", "")
                        dead_boots += 1
                        self._down()
                self._report(number, case, fault, out, time.monotonic() - begun)
        finally:
            self._down()
            shutil.rmtree(self.results / "bin", ignore_errors=True)
        print(f"# {self.test.path.stem} on {self.series}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped; "
              f"{self.boots} boot{'s' if self.boots != 1 else ''} in {self.boot_seconds:.1f} s, "
              f"all in {time.monotonic() - started:.1f} s", flush=True)
        return self.failed == 0

    def _report(self, number, case, fault, out, seconds):
        kept = self.results / f"{number:02}-{re.sub(r'[^a-z0-9]+', '-', case.name.lower()).strip('-')[:60]}.txt"
        kept.write_text(out)
        if fault is None:
            self.passed += 1
            print(f"ok {number} - {case.name} ({seconds:.1f} s)", flush=True)
            return
        self.failed += 1
        print(f"not ok {number} - {case.name} ({seconds:.1f} s)\n# {self.test.path}:{case.line}: {fault}")
        for line in out.splitlines()[-40:]:
            print(f"#   {line}")
        print(f"# all of its output: {kept}", flush=True)


def find(name):
    path = Path(name)
    return path if path.exists() else images.TREE / "tests/guest" / f"{name}.test"


def run_all(arguments, options_of):
    deadline = time.monotonic() + arguments.budget
    names = arguments.file or sorted((images.TREE / "tests/guest").glob("*.test"))
    try:
        tests = [TestFile(find(name)) for name in names]
    except (OSError, FileError, ValueError, re.error) as error:
        print(f"guest: {error}", file=sys.stderr)
        return machine.EXIT_HARNESS
    good = True
    for test in tests:
        for series in arguments.kernel or test.kernels + (test.matrix if arguments.matrix else []):
            good &= FileRun(test, series, options_of, arguments).run(deadline)
    return 0 if good else 1

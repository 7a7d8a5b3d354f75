"""Debian's kernels in the cache: image, initramfs, disk with the modules; fetched with apt when they are missing."""

import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import own_kernel
from images import CACHE, TREE, ImageError, apt_uri, cache_lock, make_ext4, note, run

DEFAULT = ["6.12", "6.1", "7.3"]  # what the test files are run on
# Drivers that are modules in Debian's kernels and that init needs before it sees a disk.
BOOT_MODULES = ["virtio_pci", "virtio_blk", "virtio_console"]
# The suites beside this machine's own that have a newer kernel.
NEWER_SUITES = ["trixie-backports"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Newer packages have the image, its configuration and the modules in packages of their own.
PARTS = re.compile(r"\blinux-(?:binary|base|modules)-[0-9]\S*")


class Kernel:
    """One kernel in the cache: image, initramfs, disk with its modules."""

    def __init__(self, folder):
        self.image = folder / "vmlinuz"
        self.initrd = folder / f"initrd-{init_hash()}.cpio"
        self.modules = folder / "modules.ext4"
        self.release = (folder / "release").read_text().strip()
        self.suite = (folder / "suite").read_text() if (folder / "suite").exists() else ""
        self.folder = folder


def init_hash():
    return hashlib.sha256((TREE / "tests/guest/init.c").read_bytes()).hexdigest()[:12]


def newest_package(series, apt):
    """The signed package of this series with the highest version: what a Debian machine boots. apt: options."""
    found = run(["apt-cache", *apt, "search", "--names-only", rf"^linux-image-{re.escape(series)}\..*-cloud-amd64$"])
    names = [line.split(" ")[0] for line in found.splitlines()]
    policy = run(["apt-cache", *apt, "policy", *names]) if names else ""
    versions = []
    for name, candidate in re.findall(r"^(linux-image-\S+):\n.*\n  Candidate: (\S+)", policy, re.MULTILINE):
        if candidate != "(none)":
            versions.append((candidate, name))
    best = None
    for version, name in versions:
        if best is None or subprocess.run(["dpkg", "--compare-versions", version, "gt", best[0]], check=False).returncode == 0:
            best = (version, name)
    return best


def newer_suite(suite):
    """apt's options for another suite of the archive that this machine uses. Its lists lie in the cache, beside the
    machine's own, so that the machine is offered nothing of it."""
    folder = CACHE / f"apt-{suite}"
    (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {apt_uri('bookworm')} {suite} main\n")
    options = {"Dir::Etc::SourceList": folder / "sources.list", "Dir::Etc::SourceParts": "-", "Dir::State::Lists": folder / "lists",
               "Dir::Cache": folder / "cache"}
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def find_package(series):
    """(version, package), and the suite that has it: "" for this machine's own."""
    best = newest_package(series, [])
    if best is None and os.geteuid() == 0:
        run(["apt-get", "-q", "update"])
        best = newest_package(series, [])
    if best is not None:
        return best, ""
    for suite in NEWER_SUITES:
        with cache_lock(f"apt-{suite}"):
            apt = newer_suite(suite)
            run(["apt-get", "-q", *apt, "update"])
            best = newest_package(series, apt)
        if best is not None:
            return best, suite
    raise ImageError(f"apt knows no package linux-image-{series}*-cloud-amd64, nor has {', '.join(NEWER_SUITES)} one")


def kernel(series):
    """The kernel of this series from the cache, fetched with apt if it is not there. "7.3-staging" is one of our own: Linux 7.3
    with tests/guest/by-hand/staging.config."""
    folder = CACHE / f"kernel-{series}"
    version, _, own = series.partition("-")
    with cache_lock(f"kernel-{series}"):
        if not (folder / "release").exists():
            if own:
                build_kernel(version, own, folder)
            else:
                fetch_kernel(series, folder)
        found = Kernel(folder)
        if not found.initrd.exists():
            make_initrd(found)
    return found


def unpack_kernel(series, work):
    """The files of the kernel's packages in work/deb, and the suite that has them in work/suite."""
    (version, package), suite = find_package(series)
    apt = newer_suite(suite) if suite else []
    (work / "suite").write_text(suite)
    note(f"fetching {package} {version}")
    packages = [package, *dict.fromkeys(PARTS.findall(run(["apt-cache", *apt, "depends", f"{package}={version}"])))]
    run(["apt-get", "-q", *apt, "-o", "Acquire::Retries=3", "download", *[f"{p}={version}" for p in packages]], cwd=work)
    for deb in work.glob("*.deb"):
        run(["dpkg", "-x", deb, work / "deb"])
        deb.unlink()


def first_file(folder, *patterns):
    return next((path for pattern in patterns for path in folder.glob(pattern)), None)


def fetch_kernel(series, folder):
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        work = Path(name)
        unpack_kernel(series, work)
        # In /boot, or since Linux 7.2's packages beside the modules.
        image = first_file(work, "deb/boot/vmlinuz-*", "deb/usr/lib/modules/*/vmlinuz")
        if image is None:
            raise ImageError(f"no image is in the packages of Linux {series}")
        release = image.name.removeprefix("vmlinuz-") if image.parent.name == "boot" else image.parent.name
        made = work / "kernel"
        made.mkdir()
        shutil.copy(image, made / "vmlinuz")
        config = first_file(work, "deb/boot/config-*", "deb/usr/lib/modules/*/config")
        if config:
            shutil.copy(config, made / "config")
        # A disk that is mounted on /usr/lib/modules.
        modules = first_file(work, f"deb/lib/modules/{release}", f"deb/usr/lib/modules/{release}").parent
        tree = work / "modules"
        (tree / "lib").mkdir(parents=True)
        modules.rename(tree / "lib/modules")
        run(["/sbin/depmod", "-b", tree, release])
        for path, data in boot_modules(tree / "lib/modules" / release):
            (made / "boot-modules").mkdir(exist_ok=True)
            (made / "boot-modules" / path).write_bytes(data)
        make_ext4(tree / "lib/modules", made / "modules.ext4")
        shutil.copy(work / "suite", made / "suite")
        (made / "release").write_text(release + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    note(f"kernel {release} is ready ({time.monotonic() - started:.1f} s)")


def build_kernel(series, name, folder):
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        _, suite = find_package(series)
        made = Path(work) / "kernel"
        made.mkdir()
        own_kernel.build(f"linux-source-{series}", name, newer_suite(suite) if suite else [], work, made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def kernel_module(series, source):
    """A module compiled for the kernel of this series, with Debian's own headers; kept in the cache. None where this
    machine can't compile one: a newer suite's headers come with programs that need its C library."""
    found = kernel(series)
    if found.suite:
        note(f"{source.name} is not compiled for {found.release}, which is of {found.suite}")
        return None
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    module = found.folder / f"{source.stem}-{digest}.ko"
    with cache_lock(f"kernel-{series}"):
        if module.exists():
            return module
        note(f"compiling {source.name} for {found.release}")
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            version = found.release.removesuffix("-cloud-amd64")
            headers = [f"linux-headers-{found.release}", f"linux-headers-{version}-common"]
            # 6.1's kbuild package has the series in its name, 6.12's the version.
            kbuild = re.search(r"linux-kbuild-\S+", run(["apt-cache", "depends", headers[0]]))
            if not kbuild:
                raise ImageError(f"apt knows no {headers[0]}: remove {found.folder}, the archive has a newer kernel")
            run(["apt-get", "-q", "-o", "Acquire::Retries=3", "download", *headers, kbuild[0]], cwd=work)
            for deb in Path(work).glob("*.deb"):
                run(["dpkg", "-x", deb, work])
            tree = Path(work) / "usr/src"
            for text in [tree / headers[0] / "Makefile", *(tree / headers[0]).glob(".kernelvariables")]:
                text.write_text(text.read_text().replace("/usr/src/", f"{tree}/"))
            (tree / headers[0] / "vmlinux").unlink(missing_ok=True)  # else types are wanted, with pahole
            build = Path(work) / "module"
            build.mkdir()
            shutil.copy(source, build)
            (build / "Makefile").write_text(f"obj-m := {source.stem}.o\n")
            run(["make", "-C", tree / headers[0], f"M={build}", "modules"])
            run(["strip", "--strip-debug", build / f"{source.stem}.ko"])
            (build / f"{source.stem}.ko").rename(module)
    return module


def boot_modules(folder):
    """(name, content) of the modules that init loads, in an order that has dependencies first."""
    depends = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        depends[path] = needs.split()
    stem = {re.sub(r"\.ko(\.[a-z0-9]+)?$", "", os.path.basename(p)).replace("-", "_"): p for p in depends}
    order = []

    def add(path):
        for need in reversed(depends[path]):
            if need not in order:
                add(need)
        if path not in order:
            order.append(path)

    for name in BOOT_MODULES:
        if name in stem:  # else it is built in
            add(stem[name])
    for index, path in enumerate(order):
        data = (folder / path).read_bytes()
        if path.endswith(".xz"):
            data = lzma.decompress(data)
        elif not path.endswith(".ko"):
            raise ImageError(f"module {path}: unknown compression")
        yield f"{index:02}-{os.path.basename(path).split('.')[0]}.ko", data


def cpio_entry(name, mode, data=b"", rdev=(0, 0)):
    head = b"070701" + b"".join(b"%08X" % n for n in (0, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0))
    head += name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def compile_init(into):
    run([os.environ.get("CC", "cc"), "-static", "-Os", "-s", "-Wall", "-o", into, TREE / "tests/guest/init.c"])


def make_initrd(found):
    """init and the modules it loads, uncompressed: it is small, and the emulated machine is slow at unpacking."""
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        compile_init(f"{work}/init")
        parts = [cpio_entry("dev", 0o40755), cpio_entry("dev/console", 0o20600, rdev=(5, 1)), cpio_entry("proc", 0o40755),
                 cpio_entry("sys", 0o40755), cpio_entry("init", 0o100755, Path(work, "init").read_bytes())]
        modules = sorted((found.folder / "boot-modules").glob("*.ko"))
        if modules:
            parts.append(cpio_entry("modules", 0o40755))
            parts.append(cpio_entry("modules/list", 0o100644, "".join(m.name + "\n" for m in modules).encode()))
            parts += [cpio_entry(f"modules/{m.name}", 0o100644, m.read_bytes()) for m in modules]
        parts.append(cpio_entry("TRAILER!!!", 0))
        for old in found.folder.glob("initrd-*.cpio"):
            old.unlink()
        made = Path(work) / "initrd"
        made.write_bytes(b"".join(parts))
        made.rename(found.initrd)

"""What a guest boots from: Debian's kernels, a root file system, and disks with the files of one run.

Everything that takes long is kept in a cache: $ASSAY_GUEST_CACHE, or build/guest/cache in the tree.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("ASSAY_GUEST_CACHE") or TREE / "build/guest/cache").absolute()

# What the guest's root file system holds besides Debian's essential packages: the libraries that this tree's programs
# are linked with, and what test cases use.
PACKAGES = """
  kmod procps mount util-linux e2fsprogs xfsprogs squashfs-tools dosfstools iproute2 attr keyutils fsverity fuse3 libfuse3-3
  python3 openssl strace libcap2-bin inetutils-syslogd
  swtpm tpm2-tools ima-evm-utils bpftool
  libfmt9 libspdlog1.10 libsimdjson14 libssl3 libarchive13 libseccomp2 libcap-ng0 libsystemd0 libbpf1 libelf1 zlib1g libexpat1 libroaring0
  libtss2-esys-3.0.2-0 libtss2-rc0 libtss2-mu0 libtss2-sys1 libtss2-tctildr0 libtss2-tcti-device0 libtss2-tcti-swtpm0
  libstdc++6 libgcc-s1
  systemd-sysv udev initramfs-tools busybox zstd
""".split()
# Nobody reads these in a guest.
EXCLUDE = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/var/cache/apt/*"]
ROOT_SIZE = "3G"  # sparse; room for what a test writes


class ImageError(Exception):
    """A kernel or an image cannot be had; the text says why."""


def note(text):
    print(f"guest: {text}", file=sys.stderr, flush=True)


def run(command, **options):
    """Runs a command quietly; its output is part of the error when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        raise ImageError(f"{command[0]} ended with {done.returncode}: {' '.join(map(str, command))}\n{done.stdout[-3000:]}")
    return done.stdout


@contextlib.contextmanager
def cache_lock(name):
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def tpm_delay_shim():
    """bench/tpm_delay.c, compiled: made here so that a guest needs no build of the tree."""
    source = TREE / "bench/tpm_delay.c"
    shim = CACHE / f"tpm_delay-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.so"
    with cache_lock("tpm_delay"):
        if not shim.exists():
            made = shim.with_suffix(".new")
            run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-Wall", "-o", made, source])
            made.rename(shim)
    return shim


# ---- disks


def make_ext4(source, image, slack=4 << 20, size=None, options=()):
    """An ext4 image with the tree at source. ext4, because both kernels have it built in and extended attributes
    (security.ima, capabilities) are kept; no journal, because the image is thrown away or never written."""
    if size is None:
        files = 0
        total = 0
        for folder, folders, names in os.walk(source):
            for name in names + folders:
                info = os.lstat(os.path.join(folder, name))
                files += 1
                total += (info.st_size + 4095) // 4096 * 4096
        # Inodes, directory and extent blocks, the groups' tables: generously, what stays unused is a hole.
        size = f"{(int(total * 1.06) + files * 4096 + slack) // 1024}k"
    run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-O", "verity,^has_journal,^resize_inode",
         "-E", "lazy_itable_init=0,assume_storage_prezeroed=1", *options, "-d", source, image, size])


def files_disk(source, image):
    """A disk with the files of this run. It is made anew each time: writing 130 MB takes less time than proving that an
    older image is still right."""
    if not os.path.isdir(source):
        raise ImageError(f"--files {source}: no such folder")
    make_ext4(source, image)


# ---- firmware boot

STUB = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
# The same with Secure Boot on, and Debian's published test key (its password is its name) as the only one trusted.
OVMF_SECURE_CODE = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
OVMF_SECURE_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd"
OVMF_KEY = "/usr/share/ovmf/PkKek-1-snakeoil.key"
OVMF_CERTIFICATE = "/usr/share/ovmf/PkKek-1-snakeoil.pem"


def unified_kernel(found, options, image, signed):
    """Kernel, initramfs and options behind systemd's EFI stub, which measures each of them into PCR 11."""
    with tempfile.TemporaryDirectory(dir=image.parent) as work:
        parts = [(".osrel", Path(work, "osrel")), (".cmdline", Path(work, "cmdline")), (".linux", found.image),
                 (".initrd", found.initrd)]
        parts[0][1].write_text(f"ID=debian\nVERSION_ID=12\nNAME=guest\nVERSION={found.release}\n")
        parts[1][1].write_text(options)
        at = 0
        for line in run(["objdump", "-h", STUB]).splitlines():
            words = line.split()
            if len(words) >= 7 and words[0].isdigit():
                at = max(at, int(words[3], 16) + int(words[2], 16))
        arguments = []
        for name, path in parts:
            at = (at + 0xFFFF) // 0x10000 * 0x10000
            arguments += ["--add-section", f"{name}={path}", "--change-section-vma", f"{name}={at:#x}"]
            at += path.stat().st_size
        run(["objcopy", *arguments, STUB, image])
        # objcopy writes the time of day into the header: the same input shall give the same PCR 4.
        with open(image, "r+b") as out:
            out.seek(0x3C)
            header = int.from_bytes(out.read(4), "little")
            out.seek(header + 8)
            out.write(bytes(4))
        if signed:
            sign(image, image)


def sign(program, into):
    """For the firmware of OVMF_SECURE_VARIABLES."""
    with tempfile.TemporaryDirectory(dir=into.parent) as work:
        run(["openssl", "rsa", "-in", OVMF_KEY, "-passin", "pass:snakeoil", "-out", f"{work}/key"])
        run(["sbsign", "--key", f"{work}/key", "--cert", OVMF_CERTIFICATE, "--output", into, program])


ESP_FIRST = 2048 * 512  # where the partition begins, bytes
DEFAULT_PROGRAM = "EFI/BOOT/BOOTX64.EFI"  # what the firmware starts
ESP_SPARE = 64 << 20  # of one that is kept: room for later programs


def system_partition(program, image, spare):
    """A disk with a GPT and one EFI system partition that holds the program as the one to start; no mounts needed."""
    first = ESP_FIRST
    size = first + program.stat().st_size + spare
    size = (size + (1 << 20) - 1) // (1 << 20) * (1 << 20)
    with open(image, "wb") as out:
        out.truncate(size + (1 << 20))
    # Fixed identifiers: the same input gives the same PCR 5.
    run(["/sbin/sfdisk", "--quiet", image],
        input="label: gpt\nlabel-id: 6F4E9B1A-2C3D-4E5F-8A9B-0C1D2E3F4A5B\n"
              f"start=2048, size={(size - first) // 512}, type=U, uuid=1B2C3D4E-5F60-4718-9A0B-1C2D3E4F5A6B, name=esp\n")
    at = f"{image}@@{first}"
    run(["mformat", "-i", at, "-T", str((size - first) // 512), "-N", "a55a7e57", "-v", "ESP", "::"])
    run(["mmd", "-i", at, "::/EFI", "::/EFI/BOOT", "::/EFI/debian"])
    put(image, program, DEFAULT_PROGRAM)


def put(image, source, path):
    """A file on the system partition; one of that name is replaced, as an update does it."""
    run(["mcopy", "-o", "-i", f"{image}@@{ESP_FIRST}", source, f"::/{path}"])


LOADERS = {"shim.efi": ("shim-signed", "usr/lib/shim/shimx64.efi.signed"),
           "grub.efi": ("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")}


def loaders():
    """The folder of Debian's shim and GRUB in the cache, fetched with apt if they are not there."""
    folder = CACHE / "loaders"
    with cache_lock("loaders"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                made = Path(work, "loaders")
                made.mkdir()
                for name, (package, path) in LOADERS.items():
                    note(f"fetching {package}")
                    run(["apt-get", "-q", "-o", "Acquire::Retries=3", "download", package], cwd=work)
                    run(["dpkg", "-x", next(Path(work).glob(f"{package}_*.deb")), f"{work}/{package}"])
                    shutil.copy(Path(work, package, path), made / name)
                made.rename(folder)
    return folder


# ---- the root file system


def apt_archives():
    """(URI, release, component) of each of the Debian archives that this machine's apt uses."""
    wanted = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CODENAME)"
    found = set()
    for line in run(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"]).splitlines():
        fields = line.split("|")
        if len(fields) == 5 and fields[0] == "Debian" and fields[4].startswith("bookworm") and "backports" not in fields[4]:
            found.add(tuple(fields[1:4]))
    if not found:
        raise ImageError("apt has no lists of Debian bookworm's packages: run apt-get update")
    return found


def apt_uri(release):
    """Where this machine's apt gets this release of Debian from."""
    found = sorted(uri for uri, name, _ in apt_archives() if name == release)
    if not found:
        raise ImageError(f"apt has no lists of Debian {release}: run apt-get update")
    return found[0]


def apt_sources():
    """The Debian archives that this machine's apt uses, for mmdebstrap."""
    return "".join(sorted(f"deb {uri} {release} {component}\n" for uri, release, component in apt_archives()))


def debian_tree(tree, packages, sources):
    """A folder with a Debian system of these packages, from these archives."""
    command = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(packages)}", "--format=directory",
               "--dpkgopt=force-unsafe-io", *[f"--dpkgopt=path-exclude={p}" for p in EXCLUDE], '--aptopt=Apt::Install-Recommends "false"',
               "--aptopt=Acquire::Retries \"3\"", "bookworm", tree, "-"]
    run(command, input=sources)
    (tree / "etc/resolv.conf").write_text("")
    (tree / "etc/fstab").write_text("")
    for folder in ("files", "mnt", "usr/lib/modules"):
        (tree / folder).mkdir(exist_ok=True)


def root_recipe():
    recipe = "\n".join(["3", ROOT_SIZE, *PACKAGES, *EXCLUDE])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def rootfs(rebuild=False):
    """The root disk from the cache, built with mmdebstrap if its recipe has changed. A plain ext4 image which QEMU opens
    with a throw-away overlay: nothing to unpack and no overlayfs, so it boots fastest and behaves like a real root."""
    image = CACHE / f"root-{root_recipe()}.ext4"
    with cache_lock("root"):
        if image.exists() and not rebuild:
            return image
        if os.geteuid() != 0:
            raise ImageError("only root can build the root file system: its files belong to root")
        started = time.monotonic()
        note("building the root file system")
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            tree = Path(work) / "root"
            debian_tree(tree, PACKAGES, apt_sources())
            made = Path(work) / "root.ext4"
            make_ext4(tree, made, size=ROOT_SIZE, options=["-L", "root"])
            for old in CACHE.glob("root-*.ext4"):
                old.unlink()
            made.rename(image)
        note(f"the root file system is ready ({time.monotonic() - started:.1f} s)")
    return image

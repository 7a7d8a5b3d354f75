"""A kernel that Debian does not build: its source, tinyconfig, and what a file of tests/guest/by-hand adds to that."""

import os
import shutil
import time
from pathlib import Path

from images import TREE, ImageError, make_ext4, note, run

NEEDS = ["flex", "bison", "bc", "xz"]  # besides libelf-dev and libssl-dev


def fragment(name):
    return TREE / f"tests/guest/by-hand/{name}.config"


def build(package, name, apt, work, made):
    """package: of the source, as linux-source-7.3; apt: options for the suite that has it. Takes minutes; see `made` for the result."""
    missing = [program for program in NEEDS if shutil.which(program) is None]
    if missing:
        raise ImageError(f"a kernel is built with {', '.join(missing)}: apt-get install flex bison bc libelf-dev libssl-dev xz-utils")
    started = time.monotonic()
    note(f"building a kernel from {package} with {fragment(name).name}: some minutes")
    run(["apt-get", "-q", *apt, "-o", "Acquire::Retries=3", "download", package], cwd=work)
    for deb in Path(work).glob(f"{package}_*.deb"):
        run(["dpkg", "-x", deb, Path(work) / "source"])
        deb.unlink()
    archive = next((Path(work) / "source/usr/src").glob("linux-source-*.tar.xz"))
    run(["tar", "-xf", archive, "-C", work])
    tree = Path(work) / archive.name.removesuffix(".tar.xz")
    jobs = f"-j{len(os.sched_getaffinity(0))}"
    run(["make", "tinyconfig"], cwd=tree)
    run(["scripts/kconfig/merge_config.sh", "-m", ".config", fragment(name)], cwd=tree)
    run(["make", f"LOCALVERSION=-{name}", "olddefconfig"], cwd=tree)
    run(["make", jobs, f"LOCALVERSION=-{name}", "bzImage"], cwd=tree)
    shutil.copy(tree / "arch/x86/boot/bzImage", made / "vmlinuz")
    shutil.copy(tree / ".config", made / "config")
    release = run(["make", "-s", f"LOCALVERSION=-{name}", "kernelrelease"], cwd=tree).strip()
    (made / "release").write_text(release + "\n")
    # No module, because everything is built in. The image lies where Debian's packages have it, so that a case can start it by kexec.
    modules = Path(work) / "modules"
    (modules / release).mkdir(parents=True)
    shutil.copy(made / "vmlinuz", modules / release)
    make_ext4(modules, made / "modules.ext4")
    note(f"the kernel is built ({time.monotonic() - started:.0f} s)")

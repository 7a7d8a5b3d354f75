"""scripts/guest: guests for tests, with Debian's own kernels."""

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import cases
import images
import kernels
import machine

DESCRIPTION = """\
Boots one of Debian's unmodified kernels in QEMU and runs commands or test cases in it as root. Kernels and the root file
system are cached in build/guest/cache, or in $ASSAY_GUEST_CACHE. What a guest writes to its root is thrown away.
Exit codes: the command's own; 124 when the time was up; 125 when the guest itself failed, with a name and the end of the
kernel's log."""


def add_machine_options(parser):
    parser.add_argument("--kernel", default="6.12", metavar="SERIES", help="6.12 (default) or 6.1")
    parser.add_argument("--append", default="", metavar="OPTIONS", help="more kernel options")
    parser.add_argument("--memory", type=int, default=1024, metavar="MB")
    parser.add_argument("--cpus", type=int, default=2, metavar="N")
    parser.add_argument("--tpm", action="store_true", help="attach a fresh software TPM")
    parser.add_argument("--tpm-model", choices=["crb", "tis"], default="crb")
    parser.add_argument("--tpm-delay", type=float, default=0, metavar="MS", help="added to each PCR extend: 6 is like a chip")
    parser.add_argument("--tpm-state", metavar="DIR", help="keep the TPM's state here")
    parser.add_argument("--files", action="append", default=[], metavar="DIR[:NAME]", help="a copy of DIR is at /files/NAME")
    parser.add_argument("--disk", action="append", default=[], metavar="IMAGE",
                        help="a disk, /dev/disk/disk0 and so on; writes stay. 64M: an empty one of that size, thrown away")
    parser.add_argument("--uefi", action="store_true",
                        help="boot a unified kernel image through UEFI firmware, which fills the TPM's event log")
    parser.add_argument("--secure-boot", action="store_true", help="--uefi with Secure Boot on and the kernel signed for it")
    parser.add_argument("--uki", metavar="FILE", help="--uefi with this unified kernel image (see uki); --kernel is for its modules")
    parser.add_argument("--firmware-state", metavar="DIR",
                        help="keep the firmware's variables and its system partition here, as a machine does from boot to boot")
    parser.add_argument("--icount", action="store_true",
                        help="the guest's clock counts instructions (1 ns for each): slower, and repeatable")
    parser.add_argument("--boot-timeout", type=float, default=180, metavar="S")
    parser.add_argument("--log", metavar="FILE", help="keep the kernel's log here")


def machine_options(arguments):
    shim = None
    if arguments.tpm_delay:
        shim = images.tpm_delay_shim()
    files = []
    for entry in arguments.files:
        source, _, name = entry.partition(":")
        files.append((source, name or Path(source).resolve().name))
    return machine.Options(
        kernel=arguments.kernel, append=arguments.append, memory=arguments.memory, cpus=arguments.cpus,
        tpm=arguments.tpm or bool(arguments.tpm_delay) or bool(arguments.tpm_state), tpm_model=arguments.tpm_model,
        tpm_delay_us=round(arguments.tpm_delay * 1000), tpm_state=arguments.tpm_state, tpm_shim=shim, files=files,
        disks=arguments.disk, uefi=arguments.uefi or arguments.secure_boot or bool(arguments.uki), secure_boot=arguments.secure_boot,
        uki=arguments.uki, firmware_state=arguments.firmware_state, boot_timeout=arguments.boot_timeout, keep_log=arguments.log,
        icount=arguments.icount)


def write_to(fd):
    def write(data):
        while data:
            data = data[os.write(fd, data):]
    return write


def command_run(arguments):
    if not arguments.command:
        sys.exit("guest: run needs a command after --")
    with machine.Machine(machine_options(arguments)) as guest:
        if arguments.verbose:
            images.note(f"{guest.release} is up after {guest.boot_seconds:.1f} s")
        job = guest.run(arguments.command, arguments.timeout, write_to(1), write_to(2))
        if job.diagnostics:
            sys.stderr.write(job.diagnostics)
        if job.timed_out:
            print(guest.log_tail(), file=sys.stderr)
            images.note(f"guest.timeout: the command was killed after {arguments.timeout:g} s")
            return machine.EXIT_TIMEOUT
        return job.status


def command_cases(arguments):
    def options_of(options, files):
        parser = argparse.ArgumentParser(prog="GUEST", add_help=False)
        add_machine_options(parser)
        parsed = parser.parse_args(options)
        parsed.files += files
        return machine_options(parsed)

    return cases.run_all(arguments, options_of)


def command_uki(arguments):
    images.unified_kernel(kernels.kernel(arguments.kernel), machine.options_of(arguments.append), Path(arguments.out), arguments.secure_boot)
    return 0


def command_esp(arguments):
    """Shim, GRUB and two kernels that its configuration chooses from."""
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(images.loaders() / "grub.efi", folder)  # shim knows who signed it; the firmware does not know shim
    images.sign(images.loaders() / "shim.efi", folder / "shim.efi")
    machine_folder = folder / "machine"
    machine_folder.mkdir()
    files = {"EFI/BOOT/grubx64.efi": folder / "grub.efi"}
    for version in arguments.kernels:
        kernel = kernels.kernel(version)
        for name, source in (("vmlinuz", kernel.image), ("initrd", kernel.initrd)):
            shutil.copy(source, folder / f"{name}-{version}")
            files[f"{name}-{version}"] = folder / f"{name}-{version}"
        config = folder / f"grub-{version}.cfg"
        config.write_text(f"set timeout=0\nmenuentry 'Debian {version}' {{\n  linux /vmlinuz-{version} {machine.options_of('')}\n"
                          f"  initrd /initrd-{version}\n}}\n")
    files["EFI/debian/grub.cfg"] = folder / f"grub-{arguments.kernels[0]}.cfg"
    images.system_partition(folder / "shim.efi", machine_folder / "esp.img", images.ESP_SPARE)
    for path, source in files.items():
        images.put(machine_folder / "esp.img", source, path)
    return 0


def command_prepare(arguments):
    started = time.monotonic()
    for series in arguments.kernels or kernels.DEFAULT:
        print(f"kernel {series}: {kernels.kernel(series).release}")
    print(f"root: {images.rootfs()}")
    print(f"loaders: {images.loaders()}")
    images.note(f"all is ready ({time.monotonic() - started:.1f} s)")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="scripts/guest", description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="boot, run one command, end")
    add_machine_options(run)
    run.add_argument("--timeout", type=float, default=300, metavar="S", help="for the command, once the guest is up")
    run.add_argument("--verbose", action="store_true", help="say how long the boot took")
    run.add_argument("command", nargs="*", metavar="-- COMMAND...")
    run.set_defaults(call=command_run)
    many = commands.add_parser("cases", help="run test files, each in one boot of each of its kernels")
    many.add_argument("--kernel", action="append", metavar="SERIES", help="on this one, whatever the file says")
    many.add_argument("--matrix", action="store_true", help="also on the kernels of the file's MATRIX")
    many.add_argument("--bin", metavar="DIR", default=str(images.TREE / "build/release/bin"), help="where PROGRAMS are")
    many.add_argument("--only", metavar="REGEX", help="only cases whose name matches")
    many.add_argument("--budget", type=float, default=900, metavar="S", help="for everything; what is left then fails")
    many.add_argument("--results", metavar="DIR", default=str(images.TREE / "build/guest/results"))
    many.add_argument("file", nargs="*", metavar="FILE", help="a .test file, or its name without folder and ending")
    many.set_defaults(call=command_cases)
    uki = commands.add_parser("uki", help="write the unified kernel image that run --uefi boots")
    uki.add_argument("--kernel", default="6.12", metavar="SERIES")
    uki.add_argument("--append", default="", metavar="OPTIONS", help="more kernel options")
    uki.add_argument("--secure-boot", action="store_true", help="signed for it")
    uki.add_argument("out", metavar="FILE")
    uki.set_defaults(call=command_uki)
    esp = commands.add_parser("esp", help="write a --firmware-state DIR/machine with shim, GRUB and kernels, and all its files to DIR")
    esp.add_argument("out", metavar="DIR")
    esp.add_argument("kernels", nargs="+", metavar="SERIES", help="the first one is started")
    esp.set_defaults(call=command_esp)
    kernel = commands.add_parser("kernel", help="fetch a kernel into the cache")
    kernel.add_argument("series")
    kernel.set_defaults(call=lambda a: print(kernels.kernel(a.series).image) or 0)
    rootfs = commands.add_parser("rootfs", help="build the root file system if its recipe has changed")
    rootfs.add_argument("--rebuild", action="store_true", help="build it in any case")
    rootfs.set_defaults(call=lambda a: print(images.rootfs(a.rebuild)) or 0)
    prepare = commands.add_parser("prepare", help="kernels, root file system and boot loaders, as far as they are missing")
    prepare.add_argument("kernels", nargs="*")
    prepare.set_defaults(call=command_prepare)
    arguments = parser.parse_args()

    # SIGINT too: a shell starts background commands with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(arguments.call(arguments))
    except images.ImageError as error:
        images.note(str(error))
    except machine.GuestError as error:
        sys.stderr.write(error.log)
        images.note(str(error))
    except KeyboardInterrupt:
        images.note("interrupted")
        sys.exit(130)
    sys.exit(machine.EXIT_HARNESS)


main()

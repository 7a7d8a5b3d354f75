"""One guest: QEMU, its software TPM, and the conversation with init.c in it."""

import collections
import contextlib
import ctypes
import os
import re
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import images
import kernels

# Exit codes of ours; those of timeout(1) and of container tools, so that they are not taken for the command's.
EXIT_TIMEOUT = 124
EXIT_HARNESS = 125

# Kernel options for every guest. The emulated machine is slow and its host may be busy, so no complaints about time;
# grace periods are hurried, because attaching a BPF program waits for several.
KERNEL_OPTIONS = """console=ttyS0 panic=-1 nosoftlockup nmi_watchdog=0 rcupdate.rcu_cpu_stall_suppress=1
  rcupdate.rcu_expedited=1 no_timer_check mitigations=off random.trust_cpu=on cryptomgr.notests""".split()

# An emulated processor does wide vector instructions lane by lane: programs that choose them, OpenSSL's SHA-256 among
# them, are slower than without.
CPU = "max,-avx,-avx2,-f16c"
BOOTS = 3  # at most, when the kernel faults before its first process

Options = collections.namedtuple(
    "Options", "kernel append memory cpus tpm tpm_model tpm_delay_us tpm_state tpm_shim files disks uefi secure_boot uki firmware_state "
    "boot_timeout keep_log icount", defaults=[False])
Job = collections.namedtuple("Job", "status diagnostics timed_out seconds")


def options_of(append):
    """The kernel's command line."""
    return " ".join(KERNEL_OPTIONS + ([append] if append else []))


class GuestError(Exception):
    """The guest, not the command in it, has failed. The name is one of guest.no-boot, guest.panic, guest.gone,
    guest.hang, guest.tpm."""

    def __init__(self, name, text, log=""):
        super().__init__(f"{name}: {text}")
        self.name = name
        self.log = log


def die_with_parent():
    # A harness that is killed outright takes its QEMU and swtpm along.
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Machine:
    """A booted guest. Use it in a with statement: leaving it ends the guest and removes every trace of it."""

    def __init__(self, options):
        self.options = options
        self.work = None
        self.qemu = None
        self.swtpm = None
        self.port = None
        self.received = b""
        self.release = ""
        self.boot_seconds = 0.0
        self.uptime = 0.0  # of the kernel, when it was up
        self.variables = None  # the firmware's, where they are not the usual ones
        self.mounts = []  # (serial, path, mode) of the disks beside the root

    def __enter__(self):
        for left in reversed(range(BOOTS)):
            self.work = Path(tempfile.mkdtemp(prefix="assay-guest."))
            try:
                self._boot()
                break
            except GuestError as error:
                self.close()
                # Before the first process there is nothing of ours: it is QEMU's emulation of several processors,
                # which now and then runs an instruction that the kernel is just patching.
                if left == 0 or error.name != "guest.no-boot" or "Fatal exception" not in str(error):
                    raise
                self.received = b""
                sys.stderr.write(f"guest: booted again, {left} left, after {error}\n")
            except BaseException:
                self.close()
                raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.qemu and self.qemu.poll() is None and self.port:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._send(b"P")
                self.qemu.wait(5)
        for process in (self.qemu, self.swtpm):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        if self.port:
            self.port.close()
        if self.work:
            if self.options.keep_log:
                with contextlib.suppress(OSError):
                    shutil.copy(self.work / "kernel.log", self.options.keep_log)
            shutil.rmtree(self.work, ignore_errors=True)
        self.qemu = self.swtpm = self.port = self.work = None

    # ---- coming up

    def _start_tpm(self):
        state = Path(self.options.tpm_state) if self.options.tpm_state else self.work / "tpm"
        state.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        if self.options.tpm_delay_us:
            environment["LD_PRELOAD"] = str(self.options.tpm_shim)
            environment["ASSAY_TPM_DELAY_US"] = str(self.options.tpm_delay_us)
        control = self.work / "tpm.sock"
        with open(self.work / "swtpm.out", "wb") as out:
            self.swtpm = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl", f"type=unixio,path={control}",
                 "--log", f"file={self.work}/swtpm.log,level=1"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, preexec_fn=die_with_parent,
                start_new_session=True)
        until = time.monotonic() + 20
        while not control.exists():
            if self.swtpm.poll() is not None or time.monotonic() > until:
                said = (self.work / "swtpm.out").read_text(errors="replace")
                with contextlib.suppress(OSError):
                    said += (self.work / "swtpm.log").read_text(errors="replace")
                raise GuestError("guest.tpm", "swtpm did not start", said)
            time.sleep(0.01)
        return ["-chardev", f"socket,id=tpm,path={control}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
                "-device", f"tpm-{self.options.tpm_model},tpmdev=tpm0"]

    def _program(self, kernel, kernel_options):
        """What the firmware starts."""
        if self.options.uki:
            return Path(self.options.uki)
        program = self.work / "linux.efi"
        images.unified_kernel(kernel, kernel_options, program, self.options.secure_boot)
        return program

    def _firmware(self, kernel, kernel_options):
        o = self.options
        secure = o.secure_boot
        program = self._program(kernel, kernel_options)
        state = Path(o.firmware_state) if o.firmware_state else self.work
        state.mkdir(parents=True, exist_ok=True)
        disk, variables = state / "esp.img", state / "variables.fd"
        if disk.exists():
            images.put(disk, program, images.DEFAULT_PROGRAM)
        else:
            images.system_partition(program, disk, spare=images.ESP_SPARE if o.firmware_state else 8 << 20)
        if not variables.exists():
            shutil.copy(self.variables or (images.OVMF_SECURE_VARIABLES if secure else images.OVMF_VARIABLES), variables)
        code = images.OVMF_SECURE_CODE if secure else images.OVMF_CODE
        return [*(["-global", "driver=cfi.pflash01,property=secure,value=on"] if secure else []),
                "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
                "-drive", f"if=pflash,unit=1,format=raw,file={variables}",
                "-drive", f"if=none,id=esp,file={disk},format=raw,cache=unsafe,snapshot=on",
                "-device", "virtio-blk-pci,drive=esp,serial=esp,bootindex=0"]

    def _disks(self, kernel):
        """([(serial, image, whether writes are thrown away)], [(serial, where init mounts it, mode)])"""
        disks = [("root", images.rootfs(), True), ("modules", kernel.modules, False)]
        mounts = [("modules", "/usr/lib/modules", "ro")]
        for index, (source, name) in enumerate(self.options.files):
            image = self.work / f"files{index}.ext4"
            images.files_disk(source, image)
            disks.append((f"files{index}", image, True))
            mounts.append((f"files{index}", f"/files/{name}", "rw"))
        for index, image in enumerate(self.options.disks):
            path = Path(image).absolute()
            if re.fullmatch("[0-9]+M", image):
                path = self.work / f"disk{index}.img"
                with open(path, "wb") as empty:
                    empty.truncate(int(image[:-1]) << 20)
            disks.append((f"disk{index}", path, False))
        return disks, mounts

    def _more_devices(self):
        return []

    def _boot(self):
        o = self.options
        kernel = kernels.kernel(o.kernel)
        disks, mounts = self._disks(kernel)
        started = time.monotonic()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.work / "port.sock"))
        listener.listen(1)
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-machine", f"q35,smm={'on' if o.secure_boot else 'off'}", "-cpu", CPU, "-smp", str(o.cpus), "-m", str(o.memory)]
        # One thread for all processors: with one for each, QEMU now and then runs an instruction that the kernel is just
        # patching (attaching a BPF program patches many), and the kernel faults. It costs a tenth.
        for accelerator in os.environ.get("ASSAY_GUEST_ACCEL", "tcg,thread=single").split(" "):
            command += ["-accel", accelerator]
        # The guest's clock then counts instructions, 1 ns for each, and does not run while the guest waits.
        command += ["-icount", "shift=0,sleep=off"] if o.icount else []
        command += ["-chardev", f"file,id=log,path={self.work}/kernel.log", "-serial", "chardev:log",
                    "-device", "virtio-serial-pci", "-chardev", f"socket,id=port,path={self.work}/port.sock",
                    "-device", "virtserialport,chardev=port,name=assay"]
        for serial, image, throw_away in disks:
            writes = "snapshot=on" if throw_away else "readonly=on" if serial == "modules" else "snapshot=off"
            command += ["-drive", f"if=none,id={serial},file={image},format=raw,cache=unsafe,{writes}",
                        "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]
        command += self._more_devices()
        if o.tpm:
            command += self._start_tpm()
        kernel_options = options_of(o.append)
        if o.uefi:
            command += self._firmware(kernel, kernel_options)
        else:
            command += ["-kernel", str(kernel.image), "-initrd", str(kernel.initrd), "-append", kernel_options]
        with open(self.work / "qemu.out", "wb") as out:
            self.qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                         env=dict(os.environ, TMPDIR=str(self.work)), preexec_fn=die_with_parent,
                                         start_new_session=True)
        until = started + o.boot_timeout
        with listener:
            listener.settimeout(0.2)
            while self.port is None:
                with contextlib.suppress(socket.timeout):
                    self.port = listener.accept()[0]
                if self.port is None and (self.qemu.poll() is not None or time.monotonic() > until):
                    raise GuestError("guest.no-boot", "QEMU did not start", (self.work / "qemu.out").read_text(errors="replace"))
        frame = self._receive(until)
        if frame is None:
            raise GuestError("guest.no-boot", f"not up after {o.boot_timeout} s", self.log_tail())
        kind, payload = frame
        if kind != b"H":
            raise GuestError("guest.no-boot", f"unexpected first frame {kind!r}", self.log_tail())
        self.mounts = mounts
        self._up(payload)
        self.boot_seconds = time.monotonic() - started

    def _up(self, payload):
        self.release = payload.split(b"\0")[0].decode()
        with contextlib.suppress(ValueError, IndexError):
            self.uptime = float(payload.split(b"\0")[1].split()[0])
        for serial, path, mode in self.mounts:
            self._send(b"M", *(text.encode() for text in (serial, path, mode)))

    # ---- talking

    def _send(self, kind, *strings):
        payload = b"".join(s + b"\0" for s in strings)
        self.port.sendall(kind + struct.pack("<I", len(payload)) + payload)

    def _receive(self, until):
        """The next frame, None at the deadline. Raises GuestError when the guest is gone."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.port, selectors.EVENT_READ)
            while True:
                if len(self.received) >= 5:
                    size = struct.unpack_from("<I", self.received, 1)[0]
                    if len(self.received) >= 5 + size:
                        frame = self.received[:1], self.received[5:5 + size]
                        self.received = self.received[5 + size:]
                        return frame
                left = until - time.monotonic()
                if left <= 0:
                    return None
                if not selector.select(left):
                    continue
                try:
                    data = self.port.recv(1 << 20)
                except ConnectionError:
                    data = b""
                if not data:
                    raise self._gone()
                self.received += data

    def _gone(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.qemu.wait(5)
        log = self.log_tail()
        panic = re.search(r"Kernel panic - not syncing: .*", self.log_text())
        init = re.search(r"assay-init: .*", self.log_text())
        if not self.release:
            reason = panic[0] if panic else init[0] if init else "the guest ended before it was up"
            qemu = (self.work / "qemu.out").read_text(errors="replace")
            return GuestError("guest.no-boot", reason.strip(), qemu + log)
        if panic:
            return GuestError("guest.panic", panic[0].strip(), log)
        return GuestError("guest.gone", f"the guest ended (QEMU's exit code {self.qemu.poll()})", log)

    def run(self, argv, timeout, out, err, keep=False):
        """Runs a command; out and err are called with its output as it comes."""
        started = time.monotonic()
        self._send(b"R", b"k" if keep else b"", *(os.fsencode(a) for a in argv))
        until = started + timeout
        diagnostics = ""
        timed_out = False
        # Ctrl-\: as if its time were up, to see what it waits for.
        signal.signal(signal.SIGQUIT, lambda *_: self._send(b"K"))
        while True:
            frame = self._receive(until)
            if frame is None and timed_out:
                raise GuestError("guest.hang", f"no answer {timeout + 15} s after the start, not even to a kill",
                                 diagnostics + self.log_tail())
            if frame is None:
                timed_out = True
                self._send(b"K")
                until = time.monotonic() + 15
                continue
            kind, payload = frame
            if kind == b"O":
                out(payload)
            elif kind == b"E":
                err(payload)
            elif kind == b"D":
                diagnostics += payload.decode(errors="replace")
            elif kind == b"H":
                # The command started another kernel by kexec, which is up: this was the command's end.
                self._up(payload)
                return Job(0, diagnostics, timed_out, time.monotonic() - started)
            elif kind == b"X":
                timed_out = timed_out or bool(diagnostics)
                return Job(int(payload), diagnostics, timed_out, time.monotonic() - started)

    # ---- the kernel's log

    def log_text(self):
        try:
            return (self.work / "kernel.log").read_text(errors="replace").replace("\r", "")
        except OSError:
            return ""

    def log_tail(self, lines=25):
        return "\n".join(self.log_text().splitlines()[-lines:]) + "\n"

"""A whole machine: Debian with systemd, the attester in its initramfs, a UKI on the disk that the firmware starts.

What scripts/guest boots otherwise is made for short tests; this is what a machine of a fleet boots. The disk image is built
here from the cached root file system and the tree's build: installed by its own install rule, the initramfs made by Debian's
mkinitramfs in the image.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import images
import kernels
import machine

PORT = 7443         # of the attester, in the guest
ADDRESS = "10.0.2.15"
# Chores that say nothing here and cost an emulated processor a minute.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
          "dpkg-db-backup.timer", "inetutils-syslogd.service", "systemd-networkd-wait-online.service"]
AGENT_UNIT = """[Unit]
Description=takes the tests' commands
DefaultDependencies=no
After=multi-user.target
[Service]
ExecStart=/usr/local/sbin/guest-agent agent
[Install]
WantedBy=multi-user.target
"""
OPTIONS = "root=LABEL=root rw " + " ".join(machine.KERNEL_OPTIONS)


def in_tree(tree, *command):
    """Runs a command in the tree, with the mounts it needs in a mount namespace of its own."""
    script = 'mount --make-rprivate / && mount --bind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    return images.run(["unshare", "--mount", "sh", "-c", script, str(tree), *map(str, command)],
                      env=dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin", LANG="C.UTF-8"))


class System:
    """The parts of one machine, in a folder: what it boots (kernel, initrd, command line), its disk, what is known of it."""

    prefix = "/usr"  # where assay is installed
    slack = 256 << 20  # bytes that the machine's own files may need on the disk

    def __init__(self, folder, build):
        self.folder = Path(folder)
        self.build = Path(build)
        self.kernel = kernels.kernel("6.12")
        self.tree = self.folder / "tree"
        self.disk = self.folder / "root.ext4"
        self.initrd = self.folder / "initrd"

    def make(self, configuration, keys):
        """configuration: of assayd, None: it is installed and no more; keys: {path: content} for files that only the real root has."""
        self._debian()
        modules = self.tree / "usr/lib/modules"
        images.run(["/sbin/debugfs", "-R", f'rdump /{self.kernel.release} "{modules}"', self.kernel.modules])
        shutil.copy(self.kernel.folder / "config", self.tree / f"boot/config-{self.kernel.release}")
        shutil.copy(self.kernel.image, self.tree / f"boot/vmlinuz-{self.kernel.release}")
        images.run(["cmake", "--install", self.build, "--prefix", self.prefix, "--strip"], env=dict(os.environ, DESTDIR=str(self.tree)))
        self._configure(configuration, keys)
        # What root runs once nothing measures, or in the attester's place: in no reference.
        shutil.copy(self.build / "bin/impostor", self.tree / "opt/impostor")
        self._write("/opt/unknown", "#!/bin/sh\necho unknown code runs\n", 0o755)
        self.make_initrd(self.initrd, early=configuration is not None)
        images.make_ext4(self.tree, self.disk, slack=self.slack, options=["-L", "root"])

    def _debian(self):
        self.tree.mkdir(parents=True)
        images.run(["/sbin/debugfs", "-R", f'rdump / "{self.tree}"', images.rootfs()])

    def _write(self, path, text, mode=0o644):
        target = self.tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def _configure(self, configuration, keys):
        self._write("/etc/machine-id", "0f1e2d3c4b5a69788796a5b4c3d2e1f0\n")
        self._write("/etc/hostname", "machine\n")
        self._write("/etc/systemd/network/10-machine.network", f"[Match]\nName=e*\n[Network]\nAddress={ADDRESS}/24\n")
        self._write("/etc/systemd/system/guest-agent.service", AGENT_UNIT)
        kernels.compile_init(self.tree / "usr/local/sbin/guest-agent")
        # What this machine's disk needs, not what any machine's might.
        self._write("/etc/initramfs-tools/conf.d/machine", "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n")
        self._write("/etc/initramfs-tools/modules", "\n".join(kernels.BOOT_MODULES) + "\n")
        units = self.tree / "etc/systemd/system"
        for unit in MASKED:
            (units / unit).unlink(missing_ok=True)
            (units / unit).symlink_to("/dev/null")
        if configuration:
            self._write("/etc/assay/assayd.json", json.dumps(configuration))
        for path, text in keys.items():
            self._write(path, text, 0o600)
        in_tree(self.tree, "systemctl", "enable", "guest-agent", "systemd-networkd", *(["assayd"] if configuration else []))

    def make_initrd(self, into, early=True):
        """Made in the tree by Debian's mkinitramfs; early: with the attester."""
        initramfs = "usr/share/initramfs-tools" if self.prefix == "/usr" else "etc/initramfs-tools"
        for part in ("hooks", "scripts/init-top"):
            (self.tree / initramfs / part / "assay").chmod(0o755 if early else 0o644)
        in_tree(self.tree, "mkinitramfs", "-o", "/tmp/initrd", self.kernel.release)
        shutil.move(self.tree / "tmp/initrd", into)

    def reference(self, folder):
        """Reference values of everything in the image: one index for each of the folders that hold code."""
        Path(folder).mkdir()
        for name in ("usr", "etc"):
            in_tree(self.tree, "assay", "reference", "build", "--out", "/tmp/reference", "--folder", f"/{name}", "--package", name,
                    "--version", "image")
            shutil.move(self.tree / "tmp/reference", Path(folder) / f"{name}.idx")
        return sorted(Path(folder).glob("*.idx"))

    def parts(self, **changed):
        """What a UKI of this machine is made of: image, initrd, release, options."""
        return SimpleNamespace(**{"image": self.kernel.image, "initrd": self.initrd, "release": self.kernel.release,
                                  "options": OPTIONS, **changed})


def manufacture(state, authority):
    """A software TPM as it leaves its maker: an EK with a certificate by a CA of the test's own, one bank."""
    for folder in (state, authority):
        Path(folder).mkdir(parents=True, exist_ok=True)
    ca = Path(authority)
    (ca / "ca.conf").write_text(f"statedir = {ca}\nsigningkey = {ca}/signkey.pem\nissuercert = {ca}/issuercert.pem\n"
                                f"certserial = {ca}/certserial\n")
    (ca / "ca.options").write_text("")
    (ca / "setup.conf").write_text(f"create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {ca}/ca.conf\n"
                                   f"create_certs_tool_options = {ca}/ca.options\nactive_pcr_banks = sha256\n")
    images.run(["swtpm_setup", "--tpm2", "--tpmstate", state, "--config", ca / "setup.conf", "--create-ek-cert",
                "--pcr-banks", "sha256"])


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class SystemMachine(machine.Machine):
    """One boot of a System's parts. `port` on 127.0.0.1 leads to the attester; nothing else leads in or out."""

    def __init__(self, system, parts, tpm_state, variables=images.OVMF_SECURE_VARIABLES, keep_log=None, boot_timeout=300):
        super().__init__(machine.Options(
            kernel="6.12", append="", memory=1024, cpus=2, tpm=True, tpm_model="crb", tpm_delay_us=0,
            tpm_state=str(tpm_state), tpm_shim=None, files=[], disks=[], uefi=True, secure_boot=True, uki=None,
            firmware_state=None, boot_timeout=boot_timeout, keep_log=keep_log))
        self.variables = variables
        self.system = system
        self.parts = parts
        self.forward = free_port()

    def _disks(self, kernel):
        return [("root", self.system.disk, True)], []

    def _more_devices(self):
        return ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.forward}-:{PORT}",
                "-device", "virtio-net-pci,netdev=net,romfile="]

    def _program(self, kernel, kernel_options):
        program = self.work / "linux.efi"
        images.unified_kernel(self.parts, self.parts.options, program, True)
        return program

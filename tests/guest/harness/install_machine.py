"""A fresh machine onto which the packages are installed: Debian of a suite, with systemd and its own kernel, and without assay.

It has no network. Its archive is a folder with the packages that it was installed from and with those that assay's packages need.
assay's own repository, of `make repo`, lies in another folder, as it does on a machine of somebody who has built it.
"""

import shutil
import subprocess

import images
import kernels
import machine
import system

PACKAGES = """
  systemd-sysv udev dbus libpam-systemd kmod procps iproute2 e2fsprogs initramfs-tools zstd busybox apparmor man-db
  ca-certificates cron python3
""".split()
MIRROR = "/var/local/mirror"
REPOSITORY = "/srv/assay"
NEXT = "/srv/next"  # the same with a newer version


def sources(suite):
    """The suite's archives, on the mirror that this machine's apt uses."""
    main, security = images.apt_uri("bookworm"), images.apt_uri("bookworm-security")
    return f"deb {main} {suite} main\ndeb {main} {suite}-updates main\ndeb {security} {suite}-security main\n"


def kernel_package(suite, kernel):
    """The package with this kernel (6.12); "": the one that the suite's installer would take."""
    if not kernel:
        return "linux-image-cloud-amd64"
    (_, name), newer = kernels.find_package(kernel)
    if newer or suite != "bookworm":
        raise images.ImageError(f"{suite} has no Linux {kernel} of its own: leave --kernel out")
    return name


class InstallMachine(system.System):
    """`repositories`: folders of scripts/repo, with the version that is installed and with the one that it is upgraded to."""

    slack = 2 << 30

    def __init__(self, folder, suite, kernel, repositories):
        super().__init__(folder, folder)  # nothing of a build is taken
        self.suite = suite
        self.package = kernel_package(suite, kernel)
        self.repositories = repositories
        self.release = ""

    def make(self):  # pylint: disable=arguments-differ
        self.folder.mkdir(parents=True, exist_ok=True)
        self._debian()
        self._configure(None, {})
        self._agent_package()
        self._mirror()
        self.release = next((self.tree / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        system.in_tree(self.tree, "update-initramfs", "-u")
        self.take_boot_files(self.tree / "boot")
        images.make_ext4(self.tree, self.disk, slack=self.slack, options=["-L", "root"])

    def _debian(self):
        shutil.copytree(self.repositories[0], self.folder / "fetch")
        sources_file = self.folder / "fetch.sources"
        sources_file.write_text(source_of(self.repositories[0], "/srv/fetch"))
        command = ["mmdebstrap", "--quiet", "--variant=important", f"--include={','.join([self.package, *PACKAGES])}",
                   "--format=directory", "--dpkgopt=force-unsafe-io", "--aptopt=Acquire::Retries \"3\"",
                   *[f"--dpkgopt=path-exclude={p}" for p in images.EXCLUDE if "man" not in p],
                   # The packages themselves are kept: they become the machine's archive.
                   "--skip=essential/unlink,cleanup/apt/cache",
                   f'--customize-hook=cp -a "{self.folder}/fetch" "$1/srv/fetch"',
                   f'--customize-hook=cp "{sources_file}" "$1/etc/apt/sources.list.d/fetch.sources"',
                   '--customize-hook=chroot "$1" apt-get -q update',
                   '--customize-hook=chroot "$1" apt-get -q -y --download-only install assay-attester assay libassay-dev',
                   '--customize-hook=rm -r "$1/srv/fetch" "$1/etc/apt/sources.list.d/fetch.sources"',
                   self.suite, self.tree, "-"]
        images.run(command, input=sources(self.suite))
        for name in ("resolv.conf", "fstab"):
            (self.tree / "etc" / name).write_text("")

    def _agent_package(self):
        """What the test has on the machine, as a package: no file that is read as code is in no package."""
        root = self.folder / "agent"
        for path in ("usr/local/sbin/guest-agent", "etc/initramfs-tools/conf.d/machine"):
            (root / path).parent.mkdir(parents=True)
            shutil.copy(self.tree / path, root / path)
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text("Package: guest-agent\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <nobody@localhost>\n"
                                             "Description: takes the test's commands\n")
        deb = self.tree / "var/cache/apt/archives/guest-agent_1_amd64.deb"
        images.run(["dpkg-deb", "--root-owner-group", "--build", root, deb])
        system.in_tree(self.tree, "dpkg", "-i", "/var/cache/apt/archives/guest-agent_1_amd64.deb")

    def _mirror(self):
        mirror = self.tree / MIRROR.lstrip("/")
        mirror.mkdir(parents=True)
        for deb in (self.tree / "var/cache/apt/archives").glob("*.deb"):
            shutil.move(deb, mirror)
        index = subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=mirror, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        (mirror / "Packages").write_bytes(index.stdout)
        for old in (self.tree / "etc/apt").glob("sources.list*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        (self.tree / "etc/apt/sources.list.d").mkdir()
        (self.tree / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{MIRROR} ./\n")
        shutil.rmtree(self.tree / "var/lib/apt/lists")
        (self.tree / "var/lib/apt/lists").mkdir()
        # What autopkgtest would run.
        shutil.copy(images.TREE / "debian/tests/attester", self.tree / "srv/test-attester")
        for repository, path in zip(self.repositories, (REPOSITORY, NEXT)):
            target = self.tree / path.lstrip("/")
            shutil.copytree(repository, target)
            (target / "assay.sources").write_text(source_of(repository, REPOSITORY))
        system.in_tree(self.tree, "apt-get", "-q", "update")

    def take_boot_files(self, folder):
        """What the next boot starts: the kernel and the initramfs of /boot."""
        self.image = self.folder / "vmlinuz"
        shutil.copy(folder / f"vmlinuz-{self.release}", self.image)
        shutil.copy(folder / f"initrd.img-{self.release}", self.initrd)

    def take_boot_files_of_disk(self):
        folder = self.folder / "boot"
        shutil.rmtree(folder, ignore_errors=True)
        images.run(["/sbin/debugfs", "-R", f'rdump /boot "{self.folder}"', self.disk])
        self.take_boot_files(folder)

    def parts(self, **changed):
        return super().parts(image=self.image, release=self.release, **changed)


def source_of(repository, path):
    """The repository's sources file, as if it lay at this path."""
    lines = (repository / "assay.sources").read_text().splitlines()
    where = next(line for line in lines if line.startswith("URIs: ")).removeprefix("URIs: file:")
    return "".join(line.replace(where, path) + "\n" for line in lines)


class InstallBoot(system.SystemMachine):
    """A boot whose disk keeps what is written."""

    def __init__(self, *arguments, **options):
        # On a busy machine AppArmor alone compiles its profiles for minutes.
        super().__init__(*arguments, **{"boot_timeout": 900, **options})
        self.options = self.options._replace(memory=2048)

    def _disks(self, kernel):
        return [("root", self.system.disk, False)], []

    def shut_down(self, seconds=300):
        """As systemd does it, so that what services write at their end is on the disk."""
        try:
            self.run(["/usr/bin/systemctl", "poweroff"], seconds, lambda _: None, lambda _: None)
            self.run(["/usr/bin/sleep", str(seconds)], seconds + 10, lambda _: None, lambda _: None)
        except (machine.GuestError, OSError) as error:
            if getattr(error, "name", "guest.gone") != "guest.gone":
                raise

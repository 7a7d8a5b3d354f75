"""The machine of a day in the life: Debian of the last point release, with what a server has, and the updates waiting for it."""

import shutil
import subprocess
from pathlib import Path

import images
import system

PACKAGES = """
  cron openssh-server dbus libpam-systemd sudo man-db rsync ca-certificates perl locales file
  gcc g++ cmake make git python3-venv python3-pip nodejs openjdk-17-jre-headless
  jq curl wget bind9-dnsutils bind9-host vim-tiny lrzsz parted expat libarchive-tools redis-tools apache2 libsasl2-modules
  imagemagick ghostscript poppler-utils postgresql-client-15 python3-httplib2 python3-starlette python3-pyasn1
  php8.2-cli php8.2-cgi php8.2-xml php8.2-curl php8.2-zip php8.2-mbstring php8.2-bcmath php8.2-sqlite3 php8.2-gmp php8.2-readline
  php8.2-gd php8.2-ldap php8.2-intl php8.2-pgsql php8.2-mysql php8.2-soap php8.2-tidy php8.2-bz2
""".split()
UPDATES = "/var/local/updates"  # an archive of its own for what apt finds newer
NEW = ["hello", "bc"]           # what an administrator installs
USER = "ann"


def apt(tree, *words):
    """apt-get with this machine's lists, for the packages that the tree has."""
    return images.run(["apt-get", "-q", "-o", f"Dir::State::status={tree}/var/lib/dpkg/status", "-o", "Debug::NoLocking=1",
                       "-o", "Acquire::Retries=3", "-o", "APT::Install-Recommends=0", *words])


def fetch(folder, names):
    """The .deb files of packages, each NAME=VERSION."""
    folder.mkdir(parents=True, exist_ok=True)
    images.run(["apt-get", "-q", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root", "download", *names], cwd=folder)
    return sorted(folder.glob("*.deb"))


def make_archive(tree, packages):
    """The only archive that apt knows in the tree: these packages."""
    target = tree / UPDATES.lstrip("/")
    target.mkdir(parents=True)
    for deb in packages:
        shutil.copy(deb, target)
    index = subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=target, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    (target / "Packages").write_bytes(index.stdout)
    for old in (tree / "etc/apt").glob("sources.list*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    (tree / "etc/apt/sources.list.d").mkdir(exist_ok=True)
    (tree / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{UPDATES} ./\n")
    (tree / "etc/apt/apt.conf.d/90assay-test").write_text('APT::Install-Recommends "0";\n')


class DayMachine(system.System):
    slack = 2 << 30  # a day's work

    def __init__(self, folder, build, archives):
        super().__init__(folder, build)
        self.archives = Path(archives)
        self.updates = []

    def _debian(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        oldest = "".join(line + "\n" for line in images.apt_sources().splitlines() if line.split()[2] == "bookworm")
        images.debian_tree(self.tree, images.PACKAGES + PACKAGES, oldest)
        self.installed = self._fetch_installed()
        self.updates = self._fetch_updates()
        make_archive(self.tree, self.updates)
        self._accounts()

    def again(self):
        """As it was made by an earlier run."""
        self.installed, self.updates = (sorted((self.archives / name).glob("*.deb")) for name in ("installed", "updates"))
        self.disk.unlink(missing_ok=True)
        images.make_ext4(self.tree, self.disk, slack=self.slack, options=["-L", "root"])

    def _fetch_installed(self):
        names = images.run(["dpkg-query", f"--admindir={self.tree}/var/lib/dpkg", "-W", "-f", "${Package}=${Version}\n"]).split()
        return fetch(self.archives / "installed", names)

    def _fetch_updates(self):
        wanted = []
        for words in (["full-upgrade"], ["install", *NEW]):
            for line in apt(self.tree, "-s", *words).splitlines():
                if line.startswith("Inst "):
                    name, version = line.split()[1], line.split("(")[1].split()[0]
                    wanted.append(f"{name}={version}")
        return fetch(self.archives / "updates", wanted)

    def _accounts(self):
        """A user who may log in with a key, and root's key for it."""
        system.in_tree(self.tree, "useradd", "-m", "-s", "/bin/bash", USER)
        home = self.tree / f"home/{USER}/.ssh"
        home.mkdir(mode=0o700)
        (self.tree / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        system.in_tree(self.tree, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519")
        shutil.copy(self.tree / "root/.ssh/id_ed25519.pub", home / "authorized_keys")
        system.in_tree(self.tree, "chown", "-R", f"{USER}:", f"/home/{USER}/.ssh")
        self._write("/etc/ssh/ssh_config.d/day.conf", "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n")


class DayBoot(system.SystemMachine):
    """A boot whose disk keeps what is written."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.options = self.options._replace(memory=2048)

    def _disks(self, kernel):
        return [("root", self.system.disk, False)], []

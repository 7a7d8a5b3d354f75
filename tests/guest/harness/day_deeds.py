"""What happens on a machine in a day. An ordinary deed should add nothing to the findings; a planted one says how it must be named."""

import collections

import day_machine

# learns: the packages that wait are in the reference values from then on.
Deed = collections.namedtuple("Deed", "name script planted after_reboot learns", defaults=["", False, False])
AS_USER = f"sudo -u {day_machine.USER} -i bash -c"
QUIET = "export DEBIAN_FRONTEND=noninteractive"

ORDINARY = [
    Deed("login", f"ssh {day_machine.USER}@127.0.0.1 'id; ls -la; cat /etc/os-release; ps aux | head -3'\nsudo -l | head -2"),
    Deed("cron", "echo '* * * * * root date > /run/cron-ran' > /etc/cron.d/day\n"
         "for i in $(seq 150); do [ -e /run/cron-ran ] && exit 0; sleep 1; done; exit 1"),
    Deed("cron daily", "run-parts --report /etc/cron.daily"),
    Deed("backup", "tar -cf /root/backup.tar /usr/share/perl /usr/share/perl5 /usr/lib/python3 /etc\ncp -r /usr/share/perl5 /root/copy\n"
         "rsync -a /usr/share/perl /root/synced\ngzip -1 /root/backup.tar"),
    Deed("venv", f"{AS_USER} 'python3 -m venv venv && venv/bin/python -c \"import json, http.server\" && venv/bin/pip --version'"),
    Deed("gcc", f"{AS_USER} 'echo \"int main(void) {{ return 0; }}\" > t.c && gcc -o t t.c && file t'"),
    Deed("cmake", f"{AS_USER} 'mkdir -p p && cd p && echo \"int main(void) {{ return 0; }}\" > t.c && "
         "printf \"project(p C)\\nadd_executable(t t.c)\\n\" > CMakeLists.txt && cmake -B b . && cmake --build b'"),
    Deed("node", "node -e 'let s = 0; for (let i = 0; i < 1e6; ++i) s += i; console.log(s)'"),
    Deed("java", "java -version"),
    Deed("php", "php -r 'echo strlen(preg_replace(\"/a+/\", \"b\", str_repeat(\"a\", 1000)));'"),
    Deed("grep -P", "grep -P 'r(oo)+t' /etc/passwd"),
    Deed("ctypes callback", "python3 -c 'import ctypes; print(ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)())'"),
    Deed("strace", "strace -o /dev/null true"),
    Deed("loop device", "truncate -s 16M /root/disk && mkfs.ext4 -q /root/disk && mount -o loop /root/disk /mnt && umount /mnt"),
    Deed("doctor", "assay doctor"),
    Deed("status", "assay status"),
    Deed("reconfigure", f"{QUIET}; dpkg-reconfigure tzdata; update-ca-certificates; ldconfig; systemctl daemon-reload"),
    Deed("initramfs", "update-initramfs -u"),
    Deed("new package", f"{QUIET}; apt-get -q update && apt-get -q -y install {' '.join(day_machine.NEW)} && hello && echo 1+1 | bc",
         learns=True),
    Deed("upgrade", f"{QUIET}; apt-get -q update && apt-get -q -y full-upgrade && dpkg --audit"),
    Deed("reload", "systemctl reload assayd"),
]

# Byte code of other code than its source's, as Python itself would write it.
FORGE = """python3 - <<'END'
import importlib.util, marshal, os
source = {source}
code = compile("print('forged')", source, "exec")
st = os.stat(source)
head = importlib.util.MAGIC_NUMBER + (0).to_bytes(4, "little") + int(st.st_mtime).to_bytes(4, "little") + st.st_size.to_bytes(4, "little")
os.makedirs(os.path.dirname(importlib.util.cache_from_source(source)), exist_ok=True)
open(importlib.util.cache_from_source(source), "wb").write(head + marshal.dumps(code))
END
"""

PLANTED = [
    Deed("forged byte code", FORGE.format(source='importlib.util.find_spec("this").origin') + "python3 -c 'import this'",
         r"^entry\.\S+ \S*this\.cpython-311\.pyc"),
    Deed("forged in a venv", FORGE.format(source=f'"/home/{day_machine.USER}/venv/lib/python3.11/site-packages/pip/__init__.py"') +
         f"{AS_USER} 'venv/bin/python -c \"import pip\"'", r"^entry\.unknown \S*/pip/__pycache__/__init__\.cpython-311\.pyc"),
    Deed("altered .js", "echo '// altered' >> /usr/share/nodejs/undici/index.js; node -e 'require(\"undici\")'",
         r"^entry\.changed \S*/undici/index\.js"),
    Deed("LD_PRELOAD in a unit", """echo 'int evil;' > /root/x.c; gcc -shared -fPIC -o /usr/local/lib/x.so /root/x.c
mkdir -p /etc/systemd/system/cron.service.d
printf '[Service]\\nEnvironment=LD_PRELOAD=/usr/local/lib/x.so\\n' > /etc/systemd/system/cron.service.d/x.conf
systemctl daemon-reload; systemctl restart cron""", r"^entry\.unknown /usr/local/lib/x\.so"),
    Deed("unknown program", "echo 'int main(void) { return 0; }' > /root/u.c; gcc -o /usr/local/bin/u /root/u.c; /usr/local/bin/u",
         r"^entry\.unknown /usr/local/bin/u "),
    Deed("trojaned cron script", "echo 'true # altered' >> /etc/cron.daily/dpkg; run-parts /etc/cron.daily",
         r"^entry\.changed /etc/cron\.daily/dpkg"),
    Deed("trojaned ls", "cp /usr/bin/ls /root/ls; printf x >> /root/ls; cp /root/ls /usr/bin/ls; ls /", r"^entry\.changed /usr/bin/ls"),
    Deed("altered Perl module", "echo '1;' >> /usr/share/perl/5.36/Text/Abbrev.pm; perl -MText::Abbrev -e 'print 1'",
         r"^entry\.changed \S*/Text/Abbrev\.pm"),
    Deed("login script", f"echo 'true # planted' > /etc/profile.d/planted.sh; ssh {day_machine.USER}@127.0.0.1 'bash -l -c true'",
         r"^entry\.unknown /etc/profile\.d/planted\.sh"),
    Deed("sh FILE", "echo 'true # dropped' > /tmp/dropped; sh /tmp/dropped", r"^entry\.unknown /tmp/dropped"),
    Deed("web shell", "mkdir -p /var/www/html; echo '<?php echo 1;' > /var/www/html/s.php; php /var/www/html/s.php",
         r"^entry\.unknown /var/www/html/s\.php"),
]
AFTER = [Deed("restart", "systemctl restart assayd; for i in $(seq 60); do assay status > /dev/null && exit 0; sleep 1; done; exit 1",
              after_reboot=True)]
DEEDS = ORDINARY + PLANTED + AFTER

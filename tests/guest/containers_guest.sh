#!/bin/bash
# In the guest (tests/guest/containers): two containers of one image and an altered one, and one of runc's.
set -euo pipefail
PATH=/files/bin:$PATH
# shellcheck source-path=SCRIPTDIR source=lib.sh
source /files/bin/lib.sh
say() { printf '%6.1f s  %s\n' "$(cut -d ' ' -f 1 /proc/uptime)" "$*"; }
expect() { grep -qE -- "$1" "$2" || { cat "$2" >&2; fail "no $1 in $2"; }; }
refuse() { if grep -qE -- "$1" "$2"; then cat "$2" >&2; fail "$1 in $2"; fi; }

tar -C /files/podman -c . | tar -x -C / --keep-directory-symlink
ldconfig
mkdir -p /etc/containers
printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "crun"\n' > /etc/containers/containers.conf
printf '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
  > /etc/containers/storage.conf
printf '{ "default": [ { "type": "insecureAcceptAnything" } ] }\n' > /etc/containers/policy.json
modprobe -q overlay || true
mount -t tmpfs shm /dev/shm 2>/dev/null || true

# The image: a shell and a server of its own, which no package has.
make_image() {  # make_image FOLDER WORD
  mkdir -p "$1"/{usr/bin,usr/lib,usr/lib64,etc,proc,sys,dev,run,tmp,var/tmp}
  ln -s usr/bin "$1/bin"
  ln -s usr/lib "$1/lib"
  ln -s usr/lib64 "$1/lib64"
  cp /bin/dash "$1/usr/bin/sh"
  cp /lib64/ld-linux-x86-64.so.2 "$1/usr/lib64"
  cp /lib/x86_64-linux-gnu/libc.so.6 "$1/usr/lib"
  { cat /bin/true; echo "$2"; } > "$1/usr/bin/server"
  chmod 755 "$1/usr/bin/server"
}
make_image /var/tmp/web "the server"
make_image /var/tmp/warm "another one"
tar -C /var/tmp/web -c . | podman import -q - web:1 > /dev/null
tar -C /var/tmp/warm -c . | podman import -q - warm:1 > /dev/null
assay reference build --out /tmp/web.idx --folder /var/tmp/web --root /var/tmp/web --package web --version 1 --no-byte-code
say "podman has the images"

# A user with the control group that the service manager would have delegated to her, and a service of root's. Debian's podman
# makes the container's group below its own with --cgroups=split, without systemd.
useradd --uid 1000 --create-home anna 2> /dev/null
grep -q ^anna: /etc/subuid || echo anna:100000:65536 | tee /etc/subuid > /etc/subgid
chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap
anna=/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/web.scope
service=/sys/fs/cgroup/system.slice/web.service
mkdir -p "$anna" "$service" /run/user/1000
chown -R 1000:1000 /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service /run/user/1000
as_anna() {
  (echo $BASHPID > "$anna/cgroup.procs" && cd /home/anna && exec setpriv --reuid 1000 --regid 1000 --init-groups env -i \
    HOME=/home/anna XDG_RUNTIME_DIR=/run/user/1000 PATH="$PATH" podman --storage-driver vfs "$@")
}
tar -C /var/tmp/web -c . > /var/tmp/web.tar
tar -C /var/tmp/warm -c . > /var/tmp/warm.tar
as_anna import -q /var/tmp/web.tar web:1 > /dev/null
as_anna import -q /var/tmp/warm.tar warm:1 > /dev/null
say "the user's podman has the images"

rules=/tmp/rules
for root in '/libpod_parent/**' '/machine.slice/**' '/user.slice/**' '/system.slice/**'; do
  printf 'measure func=BPRM_CHECK cgroup=%s template=d-ng|n-ng|cgpath\n' "$root"
  printf 'measure func=MMAP_CHECK mask=MAY_EXEC cgroup=%s template=d-ng|n-ng|cgpath\n' "$root"
  printf 'measure func=FILE_CHECK mask=^MAY_READ interpreted=yes cgroup=%s template=d-ng|n-ng|cgpath\n' "$root"
done > $rules
assay policy show default >> $rules
configure "\"engine\": { \"scope\": \"host\", \"engine\": \"lsm\", \"policy\": \"$rules\" }"
start_assayd
say "assayd measures"

run() {  # run NAME IMAGE: its id is in /tmp/NAME.id
  podman run --name "$1" --network none --cidfile "/tmp/$1.id" "$2" /usr/bin/sh -c '/usr/bin/server; :'
}
in_runc() {  # in_runc NAME FOLDER
  mkdir -p "/tmp/bundle-$1"
  (cd "/tmp/bundle-$1" && rm -f config.json && runc spec) # its defaults: a namespace of each kind
  sed -i -e "s|\"path\": \"rootfs\"|\"path\": \"$2\"|" -e 's|"terminal": true|"terminal": false|' \
    -e 's|"sh"$|"/usr/bin/server"|' -e "s|\"linux\": {|\"linux\": { \"cgroupsPath\": \"/machine.slice/runc-$1.scope\",|" \
    "/tmp/bundle-$1/config.json"
  runc run -b "/tmp/bundle-$1" "$1"
}
# What the engines themselves run is good: it runs once, with an image that the reference values don't have.
run warm warm:1
in_runc warm /var/tmp/warm
anew() {  # anew GROUP: as at a service's start. The groups of podman's helper processes stay until these have ended
  for _ in $(seq 100); do
    find "$1" -depth -type d -exec rmdir {} + 2> /dev/null || true
    [[ -d $1 ]] || break
    sleep 0.1
  done
  mkdir "$1"
}
split() {  # split NAME IMAGE: by anna, and in the service
  anew "$service"
  as_anna run --name "$1" --cgroups=split --network none --cidfile "/home/anna/$1.id" "$2" /usr/bin/sh -c '/usr/bin/server; :'
  (echo $BASHPID > "$service/cgroup.procs" && exec podman run --name "$1-service" --cgroups=split --network none \
    --cidfile "/tmp/$1-service.id" "$2" /usr/bin/sh -c '/usr/bin/server; :')
}
split warm-split warm:1
podman create --name warm2 --network none warm:1 /usr/bin/sh > /dev/null
podman cp /var/tmp/warm/usr/bin/sh warm2:/usr/bin/warm
for _ in 1 2; do # twice: the list of the first time may lack the Python that reads it
  assay log show --json > /tmp/list.json
  accept_all "{}" < /tmp/list.json > /tmp/policy.json
done
say "podman and runc are known"

run a web:1
run b web:1
podman create --name c --network none --cidfile /tmp/c.id web:1 /usr/bin/sh -c '/usr/bin/server; :' > /dev/null
{ cat /bin/true; echo "backdoor"; } > /tmp/altered
chmod 755 /tmp/altered
podman cp /tmp/altered c:/usr/bin/server
podman start -a c
in_runc web /var/tmp/web
split web web:1
a=$(cat /tmp/a.id) b=$(cat /tmp/b.id) c=$(cat /tmp/c.id)
say "the containers ran"

# The machine's owner.
nonce=$(printf '5a%.0s' $(seq 32))
ask() { assay attest --unix /run/assayd/challenge.sock --policy /tmp/policy.json --full "$@"; }
ask --long > /tmp/without || true
expect "entry.unknown: /usr/bin/server is in no reference, in container ${a:0:12}" /tmp/without
refuse "entry.changed|entry.swapped|entry.misplaced" /tmp/without
refute ask --long --nonce "$nonce" --save /tmp/round --image /tmp/web.idx '/tmp/web.idx@web' '/tmp/web.idx@1000:*' \
  '/tmp/web.idx@web.service:*' > /tmp/owner
expect "entry.image-changed: /usr/bin/server is not the file that the image web 1 has there, in container ${c:0:12}" /tmp/owner
refuse "/usr/bin/server .*in container (${a:0:12}|${b:0:12}|web)" /tmp/owner
say "the owner knows which container was altered"
for id in "$a" "$b" "$c" web; do
  assay log show --container "$id" > /tmp/shown
  expect " /usr/bin/server .*container ${id:0:12}" /tmp/shown
done

# What a user or a service names is never one of the system's containers.
hers=$(cat /home/anna/web.id) its=$(cat /tmp/web-service.id)
refute ask --long --image /tmp/web.idx '/tmp/web.idx@web' > /tmp/system
expect "entry.unknown: /usr/bin/server is in no reference, in container ${hers:0:12} of user 1000" /tmp/system
expect "entry.unknown: /usr/bin/server is in no reference, in container ${its:0:12} of web.service" /tmp/system
refuse "/usr/bin/server .*in container (${hers:0:12}|${its:0:12})" /tmp/owner
assay log show --container "1000:$hers" > /tmp/shown
expect " /usr/bin/server .*container ${hers:0:12} of user 1000" /tmp/shown
assay log show --container "web.service:$its" > /tmp/shown
expect " /usr/bin/server .*container ${its:0:12} of web.service" /tmp/shown
say "the containers of a user and of a service are theirs"

# Each tenant.
for name in a b c; do
  id=$(cat /tmp/$name.id)
  assay log redact /tmp/round "/tmp/for-$name" --container "$id"
  code=0
  assay appraise "/tmp/for-$name" --nonce "$nonce" --policy /tmp/policy.json --image "/tmp/web.idx@$id" > /tmp/tenant-$name || code=$?
  for other in a b c warm; do
    [[ $other == "$name" ]] || refuse "$(cat /tmp/$other.id)" "/tmp/for-$name/list.bin"
  done
  head -1 "/tmp/tenant-$name"
  grep withheld "/tmp/tenant-$name"
  if [[ $name == c ]]; then
    [[ $code == 1 ]] || fail "$(cat /tmp/tenant-$name)"
    expect "entry.image-changed" /tmp/tenant-c
  else
    [[ $code == 0 ]] || fail "$(cat /tmp/tenant-$name)"
  fi
done
other=$(printf 'a5%.0s' $(seq 32))
refute assay appraise /tmp/for-a --nonce "$other" --policy /tmp/policy.json > /tmp/stale
expect "quote.nonce" /tmp/stale
say "each tenant has its verdict: a and b trusted, c not"

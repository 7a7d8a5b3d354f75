# Sourced by the benchmarks that need whole programs: the attester and fapolicyd, each in a mount namespace of its own.
# shellcheck shell=bash
set -euo pipefail
[[ $EUID -eq 0 ]] || { echo "this benchmark needs root: fanotify permission events and mount namespaces" >&2; exit 1; }
# shellcheck source-path=SCRIPTDIR
source bench/lib.sh
build assay assayd assay-net bench_opener
bin=$PWD/$bin
PATH=$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset LD_LIBRARY_PATH LIBRARY_PATH
work=$(mktemp -d /tmp/assay-bench.XXXXXX)
chmod 755 "$work"
daemon='' peer=''

cleanup() {
  local status=$?
  trap - EXIT
  set +e
  [[ -n $daemon ]] && kill -TERM "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
  [[ -n $peer ]] && kill -TERM "$peer" 2>/dev/null && wait "$peer" 2>/dev/null
  [[ -r $work/run/tpm/swtpm.pid ]] && kill "$(cat "$work/run/tpm/swtpm.pid")" 2>/dev/null
  umount -l "$work/ima" 2>/dev/null
  umount -l "$work/run" 2>/dev/null
  rm -rf "$work"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# A tree of programs and libraries, as a user would have them: at most N files, copied from this machine.
copy_tree() {  # TO N
  mkdir -p "$1"
  local n=0 f
  while IFS= read -r -d '' f; do
    [[ $(head -c 4 "$f" | tr -d '\0') == $'\177ELF' ]] || continue
    cp --reflink=never "$f" "$1/$n-$(basename "$f")"
    n=$((n + 1))
    [[ $n -lt $2 ]] || break
  done < <(find /usr/bin /usr/lib/x86_64-linux-gnu -maxdepth 1 -type f -size -2M -print0 | sort -z)
  sync -f "$1"
}

start_assayd() {  # [JSON MEMBERS]
  cat > "$work/assayd.json" <<JSON
{ "state_dir": "$work/state", "run_dir": "$work/run", "mount_point": "$work/ima",
  "tpm": { "tcti": "embedded", "stop": true },
  "engine": { "scope": "namespace", "mounts": ["/"] }, "log": { "level": "warn", "file": "$work/assayd.log" } ${1:-} }
JSON
  assayd --config "$work/assayd.json" &
  daemon=$!
  for _ in $(seq 300); do
    kill -0 "$daemon" 2>/dev/null || { cat "$work/assayd.log" >&2; exit 1; }
    assay status --mount-point "$work/ima" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "assayd did not become ready" >&2
  exit 1
}
stop_assayd() {
  kill -TERM "$daemon"
  wait "$daemon" || true
  daemon=''
}
in_assayd() { assay run --mount-point "$work/ima" -- "$@"; }

# fapolicyd from Debian, unpacked and not installed: permissive, in a mount namespace of its own, so that it never sees
# the machine. Its own rules for a known-libs policy.
fetch_fapolicyd() {
  local cache=${ASSAY_BENCH_CACHE:-build/bench}
  mkdir -p "$cache"
  if [[ ! -x $cache/fapolicyd/usr/sbin/fapolicyd ]]; then
    (cd "$cache" && apt-get -qq download fapolicyd 2>/dev/null && dpkg -x fapolicyd_*.deb fapolicyd)
  fi
  dpkg-query -W liblmdb0 >/dev/null 2>&1 || apt-get -qq -y install --no-install-recommends liblmdb0 >/dev/null
  fapolicyd=$(cd "$cache/fapolicyd" && pwd)
}
start_fapolicyd() {
  fetch_fapolicyd
  cat > "$work/fapolicyd-run" <<'SH'
set -e
work=$1 x=$2
mount --make-rprivate /
mkdir "$work/over"
mount -t tmpfs assay-bench "$work/over"
mount -t tmpfs assay-bench /run
for d in etc var/lib usr/share; do
  mkdir -p "$work/over/$d/upper" "$work/over/$d/work"
  mount -t overlay -o "lowerdir=/$d,upperdir=$work/over/$d/upper,workdir=$work/over/$d/work" assay-bench "/$d"
done
mkdir -p /etc/fapolicyd/rules.d /etc/fapolicyd/trust.d /var/lib/fapolicyd /run/fapolicyd /usr/share/fapolicyd
cp "$x/usr/share/fapolicyd/fapolicyd-magic.mgc" /usr/share/fapolicyd/
sed -e 's/^permissive.*/permissive = 1/; s/^uid.*/uid = root/; s/^gid.*/gid = root/; s/^trust =.*/trust = file/' \
  -e 's/^watch_fs.*/watch_fs = ext2,ext3,ext4,tmpfs,xfs,btrfs,overlay/' "$x/etc/fapolicyd/fapolicyd.conf" > /etc/fapolicyd/fapolicyd.conf
cat "$x"/usr/share/fapolicyd/sample-rules/{10-languages,20-dracut,21-updaters,30-patterns,40-bad-elf,41-shared-obj,42-trusted-elf,70-trusted-lang,72-shell,90-deny-execute,95-allow-open}.rules > /etc/fapolicyd/fapolicyd.rules
: > /etc/fapolicyd/fapolicyd.trust
exec "$x/usr/sbin/fapolicyd" --permissive --debug-deny
SH
  unshare -m bash "$work/fapolicyd-run" "$work" "$fapolicyd" > "$work/fapolicyd.log" 2>&1 &
  peer=$!
  for _ in $(seq 300); do
    grep -q "Starting to listen" "$work/fapolicyd.log" && return
    kill -0 "$peer" 2>/dev/null || { tail -5 "$work/fapolicyd.log" >&2; exit 1; }
    sleep 0.1
  done
  echo "fapolicyd did not become ready" >&2
  exit 1
}
in_fapolicyd() { nsenter --mount="/proc/$peer/ns/mnt" -- "$@"; }
# What a benchmark collected in files of one number a line.
middle() { mapfile -t numbers < "$work/$1"; median "${numbers[@]}"; }
spread() { sort -g "$work/$1" | awk '{v[NR]=$1} END {printf "%.4g to %.4g", v[1], v[NR]}'; }

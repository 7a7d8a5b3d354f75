# Sourced by the end-to-end tests: a folder, an assayd in a mount namespace of its own, and checks.
# shellcheck shell=bash
set -euo pipefail
PATH=$1:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset LD_LIBRARY_PATH LIBRARY_PATH
[[ $EUID -eq 0 ]] || { echo "this test needs root: fanotify permission events and mount namespaces"; exit 1; }
# shellcheck disable=SC2034  # for the tests
bin=$1
work=$(mktemp -d /tmp/assay-e2e.XXXXXX)
chmod 755 "$work"
daemon=
# shellcheck source-path=SCRIPTDIR source=../guest/json.sh
source "$(dirname "${BASH_SOURCE[0]}")/../guest/json.sh"
declare -A servers=()

fail() { echo "FAIL: $*" >&2; [[ -f $work/assayd.log ]] && tail -20 "$work/assayd.log" >&2; exit 1; }
# ok WHAT COMMAND...: the command must succeed.
ok() { local what=$1; shift; "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "$what"; }; echo "ok: $what"; }
# exits CODE WHAT COMMAND...
exits() {
  local want=$1 what=$2 got=0
  shift 2
  "$@" >"$work/out" 2>&1 || got=$?
  [[ $got -eq $want ]] || { cat "$work/out" >&2; fail "$what: exit code $got, not $want"; }
  echo "ok: $what"
}
# finding NAME: the last attestation (in $work/out, --json) has this finding.
finding() {
  local names
  names=" $(json '" ".join(sorted({f["name"] for f in d["findings"]}))' "$work/out") "
  echo "findings:$names"
  [[ $names == *" $1 "* ]] || fail "no finding $1"
}
config() {  # config [EXTRA]: members that come besides
  cat > "$work/assayd.json" <<JSON
{ "state_dir": "$work/state", "run_dir": "$work/run", "mount_point": "$work/ima",
  "tpm": { "tcti": "embedded", "stop": ${stop_tpm:-false} },
  "engine": { "scope": "namespace", "mounts": ["/"] }, "log": { "file": "$work/assayd.log" } ${1:-} }
JSON
}
start() {
  assayd --config "$work/assayd.json" &
  daemon=$!
  for _ in $(seq 200); do
    kill -0 "$daemon" 2>/dev/null || fail "assayd did not start"
    assay status --mount-point "$work/ima" >/dev/null 2>&1 && return
    sleep 0.1
  done
  fail "assayd did not become ready"
}
stop() {
  kill -TERM "$daemon"
  wait "$daemon" || fail "assayd ended with $?"
  daemon=
}
cleanup() {  # cleanup [STATUS]: the test ends with it, or with what the last command said
  local status=${1:-$?}
  trap - EXIT
  set +e
  for server in "${!servers[@]}"; do unserve "$server"; done
  # shellcheck disable=SC2046  # a number each
  kill $(jobs -p) 2>/dev/null  # what a test that failed has left at work
  [[ -n $daemon ]] && kill -KILL "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
  [[ -r $work/run/tpm/swtpm.pid ]] && kill "$(cat "$work/run/tpm/swtpm.pid")" 2>/dev/null
  umount -l "$work/ima" 2>/dev/null
  umount -l "$work/run" 2>/dev/null
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
# listens SOCKET: waits until a connection is accepted. The socket's file exists before that.
listens() {
  /usr/bin/python3 -S - "$1" <<'END' || fail "nothing listens at $1"
import socket, sys, time
for _ in range(100):
    with socket.socket(socket.AF_UNIX) as s:
        if s.connect_ex(sys.argv[1]) == 0:
            sys.exit(0)
    time.sleep(0.1)
sys.exit(1)
END
}
inside() { assay run --mount-point "$work/ima" -- "$@"; }
# serve NAME OPTIONS...: a hostile-fuse at $work/NAME, inside.
serve() {
  local name=$1
  shift
  mkdir -p "$work/$name"
  assay run --mount-point "$work/ima" -- hostile-fuse "$@" "$work/$name" > "$work/$name.out" &
  servers[$name]=$!
  for _ in $(seq 600); do grep -q mounted "$work/$name.out" && break; sleep 0.1; done
  grep -q mounted "$work/$name.out" || fail "hostile-fuse did not start"
  sleep 0.5 # until the engine knows the mount
}
# unserve NAME: its end ends all requests.
unserve() {
  kill -TERM "${servers[$1]}" 2>/dev/null || true # it ends by itself when its connection was ended
  wait "${servers[$1]}" 2>/dev/null || true
  unset "servers[$1]"
}
records() { assay log show --json "$work/ima/binary_runtime_measurements_sha256"; }
# measured PATH: how many entries the list has for it.
measured() { records | json 'sum(e["path"] == a[0] for e in entries())' - "$1"; }
# state KEY...: what `assay status` says there, also when the attester is not well.
state() { { assay status --mount-point "$work/ima" --json || true; } | json 'at(*a)' - "$@"; }
# replays ALG: the list replays to the PCR.
replays() {
  local value
  value=$(state recorder pcr_values "$1")
  ok "the $1 list replays to the PCR" assay log verify "$work/ima/binary_runtime_measurements_$1" --pcr-value "$1:$value"
}

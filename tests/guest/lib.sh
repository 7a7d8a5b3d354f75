# Sourced by every case, in the guest.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=json.sh
source "$(dirname "${BASH_SOURCE[0]}")/json.sh"
fail() { echo "FAIL: $*" >&2; exit 1; }
# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [[ $SECONDS -lt $until ]] || fail "no $what"
    read -rt 0.1 <> <(:) || true  # sleeps without a program: also where none may run
  done
}
# refute COMMAND...: the command must fail. (With a '!' before it, -e does not look.)
refute() { if "$@"; then fail "succeeded: $*"; fi; }
# survive FILE COMMAND...: starts a command that the end of the case does not kill; its output goes to the file.
# Its process is $!.
survive() {
  local out=$1
  shift
  (echo $BASHPID > /sys/fs/cgroup/cgroup.procs && exec "$@") >>"$out" 2>&1 &
}
# configure MEMBERS: the attester's configuration; the machine's TPM, and its log in /tmp/assayd.log.
configure() {
  mkdir -p /etc/assay
  echo "{ \"tpm\": { \"tcti\": \"device:/dev/tpmrm0\" }, \"log\": { \"file\": \"/tmp/assayd.log\" }, $1 }" > /etc/assay/assayd.json
}
# start_assayd: and waits until it measures. Its process is in /tmp/assayd.pid.
start_assayd() {
  modprobe -q fuse || true  # where it is a module: on a whole machine udev's /dev/fuse loads it
  survive /tmp/assayd.out assayd
  echo $! > /tmp/assayd.pid
  for _ in $(seq 900); do
    assay status >/dev/null 2>&1 && return
    kill -0 "$(cat /tmp/assayd.pid)" 2>/dev/null || break
    sleep 0.2
  done
  cat /tmp/assayd.out /tmp/assayd.log >&2
  fail "assayd did not start"
}
# entries PATH: how many records the list has for it (without a manifest there are no groups).
entries() { grep -c " $1\$" /run/assay/ascii_runtime_measurements || true; }
# pcr_file FILE: what the TPM holds, in the form that evmctl reads.
pcr_file() {
  tpm2_pcrread -T device:/dev/tpmrm0 sha256 | sed -nE 's/^ *([0-9]+) *: 0x/\1 /p' | while read -r number hex; do
    # shellcheck disable=SC2001  # a space between the bytes
    printf 'PCR-%02d:%s\n' "$number" "$(sed 's/../ &/g' <<< "$hex")"
  done > "$1"
}

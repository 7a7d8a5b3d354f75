# Sourced after lib.sh by the tests of interpreters' hooks: what was asked, what is in the list, and races.
# shellcheck shell=bash
e2e=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck disable=SC2034  # for the tests
hooks=$(realpath "$e2e/../../src/hooks")
python=/usr/bin/python3
suffixes= # of the files that the interpreter reads as code
# node: /run/assay in the attester's namespace, as hooks look for it. Nothing of this is seen outside.
node() {
  # shellcheck disable=SC2154  # lib.sh says where it is
  ok "the node is where hooks look for it" inside sh -c "mount -t tmpfs tmpfs /run && mkdir /run/assay &&
    mount --bind $work/ima /run/assay"
}
# asks WHAT FILE COMMAND...: it prints 'ran', the attester was asked for FILE before it was read, and FILE is in the list. FILE may
# be -; `stdin` is a file; `script` a main script that the interpreter opens by itself.
asks() {
  local what=$1 file=$2
  shift 2
  ok "$what" inside strace -f -y -qq -o "$work/trace" -e trace=open,openat,fcntl,read,pread64,write,close,mmap "$@" < "${stdin:-/dev/null}"
  grep -q ran "$work/out" || { cat "$work/out" >&2; fail "$what: it did not run"; }
  $python -S "$e2e/asked_first.py" "$work/trace" "$suffixes" "${script:-}" > "$work/asked" || fail "$what"
  grep -q '"hook:[a-z]*\\n"' "$work/trace" || fail "$what: the hook does not announce itself"
  [[ $file == - ]] && return
  grep -qFx "$file" "$work/asked" || fail "$what: the attester was not asked for $file"
  [[ $(measured "$file") -ge 1 ]] || fail "$what: $file is not in the list"
}
# contents FILE: how many entries the list has for its content.
contents() { records | json 'sum(e.get("digest", "").endswith(a[0]) for e in entries())' - "$(sha256sum < "$1" | cut -d' ' -f1)"; }
# buffers WHAT: how many entries without a file it has of that kind.
buffers() { records | json 'sum(e["path"].startswith(f"buffer:0:{a[0]}:/usr/bin/") for e in entries())' - "$1"; }
# text WHAT NAME TEXT COMMAND...: it prints 'ran', and the list has TEXT as a buffer of that name. `piped` comes through a pipe.
text() {
  local what=$1 name=$2 text=$3
  shift 3
  ok "$what" inside "$@" < <(printf '%s' "${piped:-}")
  grep -q ran "$work/out" || { cat "$work/out" >&2; fail "$what: it did not run"; }
  [[ $(records | json 'sum(e["path"].startswith(f"buffer:0:{a[0]}:/usr/bin/") and e["digest"].endswith(a[1]) for e in entries())' - \
    "$name" "$(printf '%s' "$text" | sha256sum | cut -d' ' -f1)") -eq 1 ]] || fail "$what: not in the list"
}
# new FILE FORMAT: FILE says 'old', FILE.new and `copy` say 'new'.
new() {
  # shellcheck disable=SC2059  # it is a format
  { printf "$2" new > "$1.new"; printf "$2" old > "$1"; }
  cp "$1.new" copy
}
# raced WHAT FILE COMMAND...: the file is exchanged for FILE.new after it was measured, and before it is read.
raced() {
  local what=$1 file=$2
  shift 2
  sleep 0.1
  ok "$what" inside env RACE="$PWD/$file" "$@"
  [[ ! -e $file.new ]] || fail "$what: nothing was exchanged"
}
# owned FOLDER MOUNT: an attester without an engine, whose owner refuses code below FOLDER, and texts, that are not there now. `under
# COMMAND...` runs one with its node as /run/assay and MOUNT.
owned() {
  ok "a key for the manifest" assay keys make --name owner --out "$work"
  ok "a manifest" assay reference build --out "$work/known.idx" --folder "$1" --package here --version 1
  ok "which is signed" assay reference sign "$work/known.idx" --key "$work/owner.key"
  printf 'measure func=BPRM_CHECK\nappraise func=FILE_CHECK path=%s/**\n' "$1" > "$work/rules"
  config ", \"manifest\": { \"index\": \"$work/known.idx\", \"key\": \"$work/owner.pub\" }"
  sed -i 's|"scope": "namespace", "mounts": \["/"\]|"scope": "none", "appraise": "enforce", "policy": "'"$work/rules"'"|' "$work/assayd.json"
  start
  under_mount=$2
}
under() {
  unshare -m sh -c "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir /run/assay &&
    mount --bind $work/ima /run/assay && $under_mount && exec \"\$@\"" - "$@"
}

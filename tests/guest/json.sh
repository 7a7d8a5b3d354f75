# Sourced by tests in bash, in guests too (this folder is all that a guest gets): how they read JSON.
# shellcheck shell=bash
# json EXPRESSION [FILE [WORD...]]: prints the value of a Python expression about the document `d` in FILE (none or -: standard
# input) and the words `a`. at(KEY...) is what lies there in d; entries() are those of a measurement list, with those in groups;
# digests() are those of its files.
json() {
  /usr/bin/python3 -S -c '
import json, sys
expression, file, *a = sys.argv[1:]
d = json.load(sys.stdin if file == "-" else open(file))
def at(*keys):
    value = d
    for key in keys:
        value = value[key]
    return value
def entries():
    return [e for r in d["records"] for e in r.get("entries", [r])]
def digests():
    found = {e.get("digest", "") for e in entries() if e.get("path", "").startswith(("/", "memfd:"))}
    return sorted(x for x in found if x.startswith("sha256:"))
print(eval(expression))' "$1" "${2:--}" "${@:3}"
}
# accept_all [MEMBERS]: reads a measurement list in JSON, and writes a policy by which all its files are good; MEMBERS is a JSON
# object of what else the policy says.
accept_all() {
  json 'json.dumps({"allow_software_tpm": True, "allow_first_use": True, "allowed": digests(), **json.loads(a[0])})' - "${1:-{\}}"
}

"""The independent witness of the tests of interpreters: reads what strace -y saw of one, and says of which files the attester was
asked before they were read as code.

usage: asked_first.py TRACE SUFFIXES [SCRIPT]

Once the hook has asked for the first time, each read() of a file with one of the suffixes (separated by commas) must come after a request
for this very descriptor was answered. SCRIPT is the main script of an interpreter that opens it itself: its last open() must come
after a request for it was answered. Prints the files, in the order of the requests; fails on the first that was read unasked.
"""
import re
import sys

CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)(?:<(.*?)>)?")


def main():
    trace, suffixes = sys.argv[1], tuple(sys.argv[2].split(","))
    script = sys.argv[3] if len(sys.argv) > 3 else ""
    files, asked, begun, reopened = {}, {}, False, False
    for line in open(trace, encoding="utf-8", errors="replace"):
        call = CALL.match(line)
        if not call or int(call[3]) < 0:
            continue
        name, words, result, path = call[1], call[2], int(call[3]), call[4]
        if name in ("open", "openat", "fcntl") and path:
            reopened = path in asked if path == script else reopened
            files[result] = [path, not begun]
        elif name == "write" and '"fd:' in words:
            begun = True
            number = int(re.search(r'"fd:(\d+)', words)[1])
            if number in files:
                files[number][1] = True
                asked[files[number][0]] = True
        elif name == "close":
            files.pop(int(words.split("<")[0]), None)
        elif name in ("read", "pread64", "mmap"):
            number = words.split(", ")[4 if name == "mmap" else 0].split("<")[0]
            path, was_asked = files.get(int(number), ("", True))
            if begun and not was_asked and path != script and path.endswith(suffixes):
                if not (path.endswith(".so") and path in asked):  # the dynamic loader opens it itself
                    sys.exit(f"{path} was read before the attester was asked")
    if script and not reopened and script not in asked:
        sys.exit(f"the attester was not asked for {script} before it was opened")
    print("\n".join(asked))


main()

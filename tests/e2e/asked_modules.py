"""The independent witness of a tool written in JavaScript: reads what strace -f -y saw of it, and says whether the attester was asked
for each module before it could act.

usage: asked_modules.py TRACE HOOKS

Node.js opens a CommonJS module in a process's main thread, reads it, and compiles it after the hook has asked for it. What runs of it
opens the next module, so a request for a module must be answered before that thread opens another one. ES modules are read in other
threads, several at a time, and none runs before all that it imports was read: for these there must be a request. What Node.js opens
before the hook asks for the first time, of each process, is Node.js's own; the folder HOOKS has the hook itself. Prints the modules, in the order of the requests.
"""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True
import strace_calls  # noqa: E402

OPENED = re.compile(r"\)\s+= (\d+)<(.*?)>$")
REQUEST = re.compile(r'/measure>, "fd:(\d+)\\n", \d+\)\s+= [1-9]')
MODULES = (".js", ".cjs", ".mjs", ".node")


def main():
    opened, asked = {}, {}  # the path of each thread and number; in order
    loading, imported = {}, set()  # not asked for yet: of main threads, by thread; of others
    begun = set()  # the main threads whose hook has asked
    for thread, name, text in strace_calls.of(sys.argv[1]):
        result = OPENED.search(text)
        if name == "execve" and text.endswith("= 0"):
            loading[thread] = ""
            begun.discard(thread)
        elif name in ("open", "openat") and result:
            number, path = result.groups()
            opened[thread, number] = path
            before = thread not in begun if thread in loading else not begun
            if before or not path.endswith(MODULES) or path == loading.get(thread):
                continue
            if loading.get(thread):
                sys.exit(f"{path} was opened before the attester was asked for {loading[thread]}")
            if thread in loading:
                loading[thread] = path
            else:
                imported.add(path)
        elif name == "write" and "/measure>, " in text:
            begun.add(thread)
            request = REQUEST.search(text)
            if not request:
                continue
            path = opened.get((thread, request[1]), "")
            asked[path] = True
            if loading.get(thread) == path:
                loading[thread] = ""
    left = {m for m in (imported | set(loading.values())) - set(asked) - {""} if not m.startswith(sys.argv[2] + "/")}
    if left:
        sys.exit(f"the attester was not asked for {', '.join(sorted(left))}")
    print("\n".join(asked))


main()

#!/usr/bin/python3
"""witness.py TRACE ACTED WHAT: says whether code was measured before it acted, as strace saw it.

TRACE is written by strace -f -y -s 200 -e trace=open,openat,write. Code acts when it writes "acted:ACTED;" to stdout. WHAT is
its file, or buffer:KIND. Before that, a write of the request to /run/assay/measure must have returned, for a descriptor of this
very file.
"""
import re
import sys

sys.dont_write_bytecode = True
import strace_calls  # noqa: E402

def main():
    trace, acted, what = sys.argv[1:]
    opened = {}  # the path of each number; a measured file's stays as it was for the request
    asked = False
    acts = re.compile(rf'1<[^>]*>, "(acted:\w+;)*acted:{re.escape(acted)};')
    for _, name, text in strace_calls.of(trace):
        if name in ("open", "openat"):
            if result := re.search(r"\)\s+= (\d+)<(.*)>$", text):
                opened[result[1]] = result[2]
        elif name == "write":
            if acts.match(text):
                if asked:
                    return 0
                print(f"{acted} acted before {what} was measured")
                return 1
            request = re.search(r'/measure>, "(fd|buffer):(\d+)(:[a-z0-9-]+)?\\n", \d+\)\s+= [1-9]', text)
            if request and request[1] == "fd":
                asked |= opened.get(request[2]) == what
            elif request:
                asked |= what == "buffer" + request[3]
    print(f"{acted} did not act")
    return 1


sys.exit(main())

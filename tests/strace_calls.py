"""Reads what strace -f writes, for the tests whose witness it is."""
import re

CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)$")
RESUMED = re.compile(r"^(\d+)\s+<\.\.\. \w+ resumed>(.*)$")


def of(path):
    """The completed calls, in the order in which they returned: (thread, name, text)."""
    pending = {}
    with open(path, encoding="utf-8", errors="replace") as trace:
        for line in trace:
            line = line.rstrip("\n")
            if resumed := RESUMED.match(line):
                name, text = pending.pop(resumed[1], ("", ""))
                yield resumed[1], name, text + resumed[2]
            elif call := CALL.match(line):
                if call[3].endswith("<unfinished ...>"):
                    pending[call[1]] = (call[2], call[3].removesuffix("<unfinished ...>").rstrip())
                else:
                    yield call[1], call[2], call[3]

"""Compares `assay boot show --json` with what tpm2_eventlog prints, field by field. compare_eventlog.py JSON YAML

tpm2_eventlog 5.4 has limits, which are left out here: it starts PCR 0 at zero whatever StartupLocality says; it has no
event numbers in TCG 1.2 logs (so its output is no YAML, and is read by lines); it replays registers that do not exist, and
extends all EV_NO_ACTION events but the first; it prints texts of other types than EV_IPL up to their first NUL; it decodes
texts, variables, images and firmware blobs, nothing else; it crashes on files that are no event log.
"""

import json
import re
import sys

SHOWN = 2 * 1024  # digits of event data that it prints at most
FIELD = re.compile(r"^\s*(?:- )?([A-Za-z]+)\s*:\s*(.*)$")


def unquote(text):
    return text.strip().strip("\"'")


def read_theirs(path):
    """Events as dictionaries of what was printed, and {bank: {index: value}}."""
    events, pcrs, bank, section, block = [], {}, None, "events", None
    with open(path, encoding="latin-1") as lines:
        for line in lines.read().split("\n"):
            if line.startswith("pcrs:"):
                section = "pcrs"
            elif section == "pcrs":
                key, _, value = line.strip().partition(":")
                if value.strip():
                    pcrs.setdefault(bank, {})[int(key)] = value.strip()[2:].lower()
                elif key:
                    bank = key
            elif block is not None and line.startswith(block[0]):
                block[1].append(line[len(block[0]):])
            elif line.startswith("  PCRIndex:"):
                block = None
                events.append({"PCRIndex": int(line.split(":")[1]), "digests": {}})
            elif events and (match := FIELD.match(line)):
                key, value = match.groups()
                event, block = events[-1], None
                if value == "|-":
                    block = ("      " if key == "String" else "    ", [])
                    event[key] = block[1]
                elif key == "AlgorithmId":
                    event["alg"] = unquote(value)
                elif key == "Digest":
                    event["digests"][event.get("alg", "sha1")] = unquote(value)
                elif value:
                    event.setdefault(key, unquote(value))
    return events, pcrs


def printable(data):
    return all(b in b"\n\0" or 0x20 <= b < 0x7F for b in data)


def fields(ours, theirs):
    """Pairs (what, ours, theirs) that must be equal."""
    data = bytes.fromhex(ours["data"])
    decoded = ours["decoded"] or {}
    if theirs["EventType"] != "Unknown event type":
        yield "type", ours["type"], theirs["EventType"]
    yield "register", ours["index"], theirs["PCRIndex"]
    yield "size", ours["size"], int(theirs["EventSize"])
    yield "digests", ours["digests"], theirs["digests"]
    if "UnicodeName" in theirs:
        yield "variable GUID", decoded.get("guid"), theirs["VariableName"]
        yield "variable name", decoded.get("name"), theirs["UnicodeName"]
        yield "variable value", decoded.get("value"), theirs.get("VariableData", "")
    # It prints an image whose path is longer than the event; that is a fault here.
    if "ImageLocationInMemory" in theirs and "fault" not in ours:
        yield "image address", decoded.get("address"), int(theirs["ImageLocationInMemory"], 16)
        yield "image length", decoded.get("length"), int(theirs["ImageLengthInMemory"])
        yield "image link address", decoded.get("link_time_address"), int(theirs["ImageLinkTimeAddress"], 16)
        # It prints all that follows, however long it says the path is.
        size = 2 * int(theirs["LengthOfDevicePath"])
        yield "device path", decoded.get("device_path_data"), theirs.get("DevicePath", "")[:size]
    # It reads S-CRTM contents and POST code as an address and a length even where they are a text.
    if "BlobBase" in theirs and decoded.get("kind") == "firmware-blob":
        yield "blob base", decoded["base"], int(theirs["BlobBase"], 16)
        yield "blob length", decoded["length"], int(theirs["BlobLength"], 16)
    if isinstance(theirs.get("String"), list) and printable(data):
        mine = ['"' + part.replace("\0", "\\0") + '"' for part in data.decode("ascii").split("\n")]
        yield "text", mine, theirs["String"]
    if isinstance(theirs.get("Event"), list) and printable(data):
        yield "text", data.decode("ascii").split("\0")[0].split("\n"), theirs["Event"]
    elif isinstance(theirs.get("Event"), str):
        yield "data", ours["data"][:SHOWN], theirs["Event"]


FRAME = {"type", "register", "size", "digests"}


def compare(ours, events, pcrs, decoded=True):
    """How many fields were compared, and a line for each that differs. decoded: what is in the event data too."""
    if len(ours["events"]) != len(events):
        return 0, [f"{len(ours['events'])} events against their {len(events)}"]
    compared, bad = 0, []
    for mine, theirs in zip(ours["events"], events):
        for what, a, b in fields(mine, theirs):
            if not decoded and what not in FRAME:
                continue
            compared += 1
            if a != b:
                bad.append(f"event {mine['number']}: {what}: {str(a)[:100]} against their {str(b)[:100]}")
    # Its registers are the bits of a word of 32: number 84 is taken for number 20 too.
    left_out = {e["index"] % 32 for e in ours["events"]
                if e["index"] > 23 or (e["type"] == "EV_NO_ACTION" and (e["number"] or e["index"]))}
    for bank, values in pcrs.items():
        for index, value in values.items():
            if (index == 0 and ours.get("startup_locality", 0) != 0) or index in left_out:
                continue
            compared += 1
            if ours["replay"][bank].get(str(index)) != value:
                bad.append(f"{bank} PCR {index}: {ours['replay'][bank].get(str(index))} against their {value}")
    return compared, bad


def main(our_path, their_path):
    with open(our_path, encoding="utf-8") as file:
        ours = json.load(file)
    events, pcrs = read_theirs(their_path)
    compared, bad = compare(ours, events, pcrs)
    for line in bad:
        print(line)
    if bad or compared < 4 * len(events):
        sys.exit(f"{len(bad)} of {compared} fields differ")
    print(f"{len(events)} events, {compared} fields are the same")


if __name__ == "__main__":
    main(*sys.argv[1:])

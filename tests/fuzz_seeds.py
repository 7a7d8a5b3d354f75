"""Writes the seeds of fuzz targets that need whole logs and lists: fuzz_seeds.py. All come from this project's guests
(tests/data/boot) or are made here; seeds of other targets are kept as they were found or written.

boot_event_log: guests' logs, cut after some events; a log of the first format. boot_efi: the event data of guests' logs, with
the byte in front that chooses the structure. list_ascii, list_replay: lists as make_lists.py makes them.
"""

import hashlib
import struct
from pathlib import Path

from make_lists import sized

HERE = Path(__file__).resolve().parent
FUZZ = HERE / "fuzz"
VARIABLES = (0x80000001, 0x80000002, 0x8000000C, 0x800000E0)
IMAGES = (0x80000003, 0x80000004, 0x80000005)
MAX_EFI = 1700  # bytes: longer event data makes the fuzzer slow


def events(log):
    """(end, type, data) of each event of a crypto-agile log."""
    def u32(at):
        return struct.unpack_from("<I", log, at)[0]
    at, sizes = 32 + u32(28), {}
    header = log[32:at]
    for i in range(struct.unpack_from("<I", header, 24)[0]):
        alg, size = struct.unpack_from("<HH", header, 28 + 4 * i)
        sizes[alg] = size
    while at < len(log):
        kind, count = u32(at + 4), u32(at + 8)
        at += 12
        for _ in range(count):
            at += 2 + sizes[struct.unpack_from("<H", log, at)[0]]
        size = u32(at)
        yield at + 4 + size, kind, log[at + 4:at + 4 + size]
        at += 4 + size


def efi_inputs(kind, data):
    if kind in VARIABLES:
        yield 0, data
        name, value = struct.unpack_from("<QQ", data, 16)
        text, value = data[32:32 + 2 * name].decode("utf-16-le"), data[32 + 2 * name:32 + 2 * name + value]
        if text in ("PK", "KEK", "db", "dbx") and value:
            yield 1, value
            size = struct.unpack_from("<I", value, 24)[0]  # of the first signature, with its owner
            yield 7, value[44:28 + size]
        elif text.startswith("Boot0"):
            yield 2, value
        yield 6, text.encode("utf-16-le")
    elif kind in IMAGES:
        yield 5, data
        yield 3, data[32:]
    elif kind in (0x80000006, 0x8000000D):
        yield 4, data
    elif kind in (0x80000008, 0x8000000A, 0x80000009, 0x8000000B):
        yield 5, data


def gpt():
    entry = hashlib.md5(b"type").digest() + hashlib.md5(b"partition").digest() + struct.pack("<QQQ", 2048, 4095, 0)
    entry += "root".encode("utf-16-le").ljust(72, b"\0")
    header = b"EFI PART" + struct.pack("<IIIIQQQQ", 0x10000, 92, 0, 0, 1, 4128, 34, 4094) + hashlib.md5(b"disk").digest()
    header += struct.pack("<QIII", 2, 128, 128, 0)
    return header + struct.pack("<Q", 1) + entry


def write(target, name, content):
    (FUZZ / target / name).write_bytes(content)


def first_format():
    out = b""
    for register, kind, data in ((0, 3, b"StartupLocality\0\3"), (0, 8, b"v1"), (0, 4, bytes(4)), (4, 4, bytes(4)),
                                 (4, 0xD, b"loader"), (5, 0x80000007, b"Exit Boot Services Invocation")):
        digest = bytes(20) if kind == 3 else hashlib.sha1(data).digest()
        out += struct.pack("<II", register, kind) + digest + sized(data)
    return out


def main():
    efi = [(4, gpt()), (0, bytes.fromhex("50ab5d6046e00043abb63dd810dd8b23") + struct.pack("<QQ", 9, 7)
                        + "SbatLevel".encode("utf-16-le") + b"sbat,1\n")]
    for folder in ("bios-6.12", "uefi-6.12", "secure-boot-6.12"):
        log = (HERE / "data/boot" / folder / "binary_bios_measurements").read_bytes()
        known = list(events(log))
        for number in (len(known) // 3, 2 * len(known) // 3, len(known) - 1):
            end = known[number][0]
            if end <= 6000:
                write("boot_event_log", f"{folder}-{number}", log[:end])
        efi += [one for _, kind, data in known for one in efi_inputs(kind, data)]
    write("boot_event_log", "tcg-1.2", first_format())
    write("boot_event_log", "text", b"this is a text and no event log")
    for choice, data in efi:
        if 0 < len(data) <= MAX_EFI:
            content = bytes([choice]) + data
            write("boot_efi", f"{choice}-{hashlib.sha1(content).hexdigest()[:8]}", content)
    lists()


def record(bank, template, name, extra=b""):
    data = sized(b"sha256:\0" + hashlib.sha256(name).digest()) + sized(name + b"\0") + extra
    return struct.pack("<I", 10) + hashlib.new(bank, data).digest() + sized(template) + sized(data)


def lists():
    def two(bank):
        return record(bank, b"ima-sig", b"boot_aggregate", sized(b"")) + record(bank, b"ima-sig", b"/bin/tool", sized(b"\3\2"))
    one = record("sha1", b"ima-sig", b"boot_aggregate", sized(b""))
    write("list_replay", "sha1", b"\0" + two("sha1"))
    write("list_replay", "sha256", b"\1" + two("sha256"))
    write("list_replay", "sha256-many", b"\x11" + two("sha256"))
    write("list_replay", "torn", b"\0" + two("sha1")[:-17])
    write("list_replay", "kexec", b"\0" + struct.pack("<HHIQQ", 1, 0, 0, 24 + len(one), 1) + one + bytes(16))
    for alg, size in (("sha1", 20), ("sha256", 32), ("sha512", 64), ("sm3_256", 32), ("unknown", 28)):
        column = hashlib.new("sha256" if alg == "sm3_256" else "sha1", alg.encode()).hexdigest()
        lines = [f"10 {column} ima-ng {alg}:{'00' * size} boot_aggregate\n", f"10 {column} ima-ng {alg}:{'5a' * size} /data\n"]
        write("list_ascii", alg, "".join(lines).encode())
    lines = [f"10 {hashlib.sha1(n.encode()).hexdigest()} ima-ng sha1:{hashlib.sha1(n[::-1].encode()).hexdigest()} {n}\n"
             for n in ("boot_aggregate", "/init", "/bin/sh", "/lib/a b.so")]
    write("list_ascii", "many", "".join(lines).encode())


if __name__ == "__main__":
    main()

"""A large event log of GRUB's commands, files and variables, without any code of assay. make_log.py BYTES OUT"""

import hashlib
import struct
import sys
from pathlib import Path

IPL, SEPARATOR, VARIABLE, NO_ACTION = 0xD, 4, 0x80000001, 3


def event(register, kind, data, measured):
    digests = struct.pack("<H", 4) + hashlib.sha1(measured).digest() + struct.pack("<H", 0xB) + hashlib.sha256(measured).digest()
    return struct.pack("<III", register, kind, 2) + digests + struct.pack("<I", len(data)) + data


def events():
    for register in range(8):
        yield event(register, SEPARATOR, bytes(4), bytes(4))
    number = 0
    while True:
        number += 1
        command = f"linux /vmlinuz-{number} root=/dev/sda1 quiet".encode()
        yield event(8, IPL, b"grub_cmd: " + command + b"\0", command)
        name = f"(hd0,gpt2)/boot/file-{number}".encode()
        yield event(9, IPL, name + b"\0", b"content of " + name)
        variable = f"Setting{number}".encode("utf-16-le")
        data = hashlib.md5(b"guid").digest() + struct.pack("<QQ", len(variable) // 2, 64) + variable + bytes(64)
        yield event(1, VARIABLE, data, data)


def main(size, out):
    header = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHHHB", 0, 0, 2, 0, 2, 2, 4, 20, 0xB, 32, 0)
    parts = [struct.pack("<II", 0, NO_ACTION) + bytes(20) + struct.pack("<I", len(header)) + header]
    total = len(parts[0])
    for one in events():
        if total >= int(size):
            break
        parts.append(one)
        total += len(one)
    Path(out).write_bytes(b"".join(parts))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Measurement lists as a kernel would have made them, without any code of assay: the formats, digests and PCR values are
computed here. make_lists.py FOLDER writes

  list-sha1.log, list-sha256.log   one list of 362 ima-sig records, with columns of these banks
  values                           what PCR 10 must hold after it: sha1, sha256, sha384, sha512, a line each
  ascii-826                        an ASCII list of 826 ima-ng records with SHA-1 columns
  ascii-unknown, ascii-sm3_256     file digests of an algorithm that does not exist; columns of SM3's size
"""

import hashlib
import struct
import sys
from pathlib import Path

BANKS = ("sha1", "sha256", "sha384", "sha512")


def sized(data):
    return struct.pack("<I", len(data)) + data


def digest(alg, data):
    return hashlib.new(alg, data).digest()


def sig_records():
    names = ["boot_aggregate", "/usr/bin/kmod"] + [f"/usr/lib/x86_64-linux-gnu/lib{n}.so" for n in range(360)]
    for number, name in enumerate(names):
        file_digest = digest("sha256", f"content of {name}".encode())
        signature = b"" if number % 3 else b"\x03\x02" + digest("sha512", name.encode())
        yield sized(b"sha256:\0" + file_digest) + sized(name.encode() + b"\0") + sized(signature)


def binary(records, template, bank):
    return b"".join(struct.pack("<I", 10) + digest(bank, data) + sized(template) + sized(data) for data in records)


def replayed(records, bank):
    value = bytes(hashlib.new(bank).digest_size)
    for data in records:
        value = digest(bank, value + digest(bank, data))
    return value.hex()


def ascii_826():
    for number in range(826):
        name = "boot_aggregate" if number == 0 else f"/usr/sbin/tool {number % 7}-{number}".replace(" ", "_")
        file_digest = digest("sha1", name.encode())
        data = sized(b"sha1:\0" + file_digest) + sized(name.encode() + b"\0")
        yield f"10 {digest('sha1', data).hex()} ima-ng sha1:{file_digest.hex()} {name}\n"


def main(folder):
    folder = Path(folder)
    records = list(sig_records())
    for bank in ("sha1", "sha256"):
        (folder / f"list-{bank}.log").write_bytes(binary(records, b"ima-sig", bank))
    (folder / "values").write_text("".join(f"{replayed(records, bank)}\n" for bank in BANKS))
    (folder / "ascii-826").write_text("".join(ascii_826()))
    zero = "0" * 56
    column = {alg: [digest(alg, bytes([n])).hex() for n in (1, 2)] for alg in ("sha1", "sha256")}
    (folder / "ascii-unknown").write_text(
        f"10 {column['sha1'][0]} ima-ng unknown:{zero} boot_aggregate\n10 {column['sha1'][1]} ima-ng unknown:{zero} /data\n")
    (folder / "ascii-sm3_256").write_text("".join(f"10 {c} ima-ng sm3_256:{c} /data\n" for c in column["sha256"]))


if __name__ == "__main__":
    main(*sys.argv[1:])

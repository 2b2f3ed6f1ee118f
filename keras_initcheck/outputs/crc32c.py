"""Checksum of TensorFlow's record files: CRC-32C (Castagnoli; RFC 3720, appendix B.4).

TensorBoard's own works byte by byte in Python and takes 4 ms for a probe of 176 sites, longer than
everything else that is logged. A CRC is linear in its bits, so the chunks of a text are worked on
side by side with NumPy, and their results are joined.
"""

import math
import struct

import numpy as np
import numpy.typing as npt

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, bits reversed."""
MASK = 0xA282EAD8
"""Added to the checksums of records, so that a file of records within a record is none."""

FEW = 64
"""Bytes up to which the plain loop is faster."""

Words = npt.NDArray[np.uint32]


def _table() -> Words:
    """`(256,)` effect of a byte on the register."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


TABLE = _table()


def frame(content: bytes) -> bytes:
    """`content` as a record: its length, its bytes, and a checksum of each."""
    length = struct.pack("<Q", len(content))
    return b"".join((length, masked(length), content, masked(content)))


def masked(content: bytes) -> bytes:
    """The checksum of `content` as record files hold it."""
    crc = crc32c(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + MASK) & 0xFFFFFFFF)


def crc32c(content: bytes) -> int:
    """The CRC-32C of `content`.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    if len(content) <= FEW:
        register = 0xFFFFFFFF
        for byte in content:
            register = int(TABLE[(register ^ byte) & 255]) ^ (register >> 8)
        return register ^ 0xFFFFFFFF
    return _join(*_chunks(content)) ^ 0xFFFFFFFF


def _chunks(content: bytes) -> tuple[Words, Words]:
    """`(chunks,)` registers after each chunk alone, and `(32,)` registers of single bits.

    The latter are what each bit of a register becomes over the length of a chunk.
    """
    length = math.isqrt(len(content))
    count = -(-len(content) // length)
    # Zeros in front change nothing in a register of 0, and a register that starts with all ones is
    # one that starts with 0 where the first four bytes are inverted.
    padded = np.zeros(count * length, np.uint8)
    padded[-len(content) :] = np.frombuffer(content, np.uint8)
    padded[-len(content) :][:4] ^= 0xFF
    registers = np.concatenate(
        [np.zeros(count, np.uint32), np.uint32(1) << np.arange(32, dtype=np.uint32)]
    )
    silent = np.zeros((32, length), np.uint8)
    for column in np.concatenate([padded.reshape(count, length), silent]).T:
        registers = TABLE[(registers ^ column) & 255] ^ (registers >> 8)
    return registers[:count], registers[count:]


def _join(registers: Words, bits: Words) -> int:
    """The register after all chunks."""
    tables = [_combinations(bits[first : first + 8]) for first in range(0, 32, 8)]
    first, second, third, fourth = tables
    joined = 0
    for register in registers.tolist():
        joined = (
            register
            ^ first[joined & 255]
            ^ second[joined >> 8 & 255]
            ^ third[joined >> 16 & 255]
            ^ fourth[joined >> 24]
        )
    return int(joined)


def _combinations(bits: Words) -> list[int]:
    """Registers for the 256 values of a byte, given those of its single bits."""
    found = np.zeros(1, np.uint32)
    for bit in bits:
        found = np.concatenate([found, found ^ bit])
    return [int(each) for each in found.tolist()]

"""Compression of a page in pieces: each piece is compressed once, and a response joins the pieces (RFC 1951, 1952).

No piece refers to another piece. The length of a response therefore reveals nothing about a secret such as the CSRF
token (BREACH attack), and the response needs no random padding.
"""

import struct
import zlib
from functools import lru_cache

_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_END = b"\x03\0"  # an empty last block
SHORT_BYTES = 200  # shorter parts are not compressed, because they may differ for each request, like a CSRF token


def pack(content: bytes) -> bytes:
    """Return `content` as complete deflate blocks without the last-block mark, aligned to a byte."""
    compressor = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush(zlib.Z_FULL_FLUSH)


def pack_part(content: bytes) -> bytes:
    """Return a visitor's part as deflate blocks: uncompressed if it is short, otherwise cached for other visitors."""
    if len(content) > SHORT_BYTES:
        return _pack_once(content)
    return struct.pack("<BHH", 0, len(content), len(content) ^ 0xFFFF) + content


_pack_once = lru_cache(maxsize=1000)(pack)


def join_gzip(packed: bytes, content: bytes) -> bytes:
    """Return the gzip file of `content`. `packed` is the concatenation of its compressed pieces."""
    return b"".join((_HEAD, packed, _END, struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)))

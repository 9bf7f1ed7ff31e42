"""Compression of a page in pieces: each is compressed once and alone, and an answer only joins them (RFC 1951, 1952).

No piece refers to another one. Therefore the length of an answer tells nothing about a secret in one of its parts, such
as the CSRF token (BREACH), and needs no random bytes.
"""

import struct
import zlib
from functools import lru_cache

_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_END = b"\x03\0"  # a last block with nothing in it
SHORT_BYTES = 200  # what is shorter is stored: it may be another one for each request, as a CSRF token is


def pack(content: bytes) -> bytes:
    """Return `content` as deflate blocks, none of which is the last one, up to a whole byte."""
    compressor = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush(zlib.Z_FULL_FLUSH)


def pack_part(content: bytes) -> bytes:
    """Do as `pack` does for the part of a visitor: quickly if it is short, once if many visitors have the same."""
    if len(content) > SHORT_BYTES:
        return _pack_once(content)
    return struct.pack("<BHH", 0, len(content), len(content) ^ 0xFFFF) + content


_pack_once = lru_cache(maxsize=1000)(pack)


def join_gzip(packed: bytes, content: bytes) -> bytes:
    """Return the gzip file of `content`; `packed` joins what `pack` and `pack_part` return for its pieces."""
    return b"".join((_HEAD, packed, _END, struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)))

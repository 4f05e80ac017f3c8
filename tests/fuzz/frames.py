"""HTTP/2 by hand: frames as the wire has them, right or wrong."""

import random
import struct
from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
INFER = "/inference.GRPCInferenceService/ModelInfer"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """One frame; `length` lies about its payload."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size & 0xFFFFFF)[1:] + struct.pack(">BBI", kind, flags, stream & 0xFFFFFFFF) + payload


def header_block(path: str = INFER, more: Iterable[tuple[str, str]] = ()) -> bytes:
    """The headers of a call, each a literal that is not indexed (RFC 7541, 6.2.2)."""
    pairs = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    pairs += [("te", "trailers"), ("content-type", "application/grpc"), *more]
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in pairs)


def call(stream: int, message: bytes, flag: int = 0, length: int | None = None, last: int = END_STREAM) -> bytes:
    """A unary call's frames; `length` lies about the message's."""
    size = len(message) if length is None else length
    body = struct.pack(">BI", flag, size & 0xFFFFFFFF) + message
    return frame(HEADERS, END_HEADERS, stream, header_block()) + frame(DATA, last, stream, body)


def random_frame(rng: random.Random) -> bytes:
    """Of any type, with any flags, on any stream, mostly of a length that is true."""
    payload = rng.randbytes(rng.choice((0, 1, 4, 5, 6, 8, 40)))
    length = rng.choice((None, None, None, 0, 5, 0xFFFFFF))
    stream = rng.choice((0, 1, 2, 3, 2**31 - 1, 2**32 - 1))
    return frame(rng.choice((*range(11), 250)), rng.randrange(256), stream, payload, length)


def _text(text: str) -> bytes:
    """A string literal of at most 126 bytes or any length beyond, without Huffman's code (RFC 7541, 5.1 and 5.2)."""
    content = text.encode()
    if len(content) < 0x7F:
        return bytes([len(content)]) + content
    rest, length = len(content) - 0x7F, bytearray([0x7F])
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(length) + bytes([rest]) + content

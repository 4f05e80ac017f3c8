"""How much CSV files hold, estimated from the beginning of the first one."""

import math
from dataclasses import dataclass

from fsspec.compression import compr
from fsspec.core import get_compression

from pipelines.data.files import Files
from pipelines.errors import DataError

_SAMPLE_BYTES = 2**23


@dataclass(frozen=True)
class Extent:
    """What CSV files come to, unpacked, if all are compressed as well as the beginning."""

    beginning: bytes
    total_bytes: int

    @property
    def num_lines(self) -> int:
        """Of all files, without their headers, if they are like the beginning."""
        lines = max(1, self.beginning.count(b"\n") - 1)
        return math.ceil(self.total_bytes / max(1, len(self.beginning)) * lines)


def csv_extent(found: Files) -> Extent:
    """Read at most 8 MiB, and the sizes of all files. Raises DataError."""
    path = found.paths[0]
    unpack = compr[get_compression(path, "infer")]
    try:
        with found.system.open(path, "rb") as raw:
            file = unpack(raw, mode="rb") if unpack else raw
            beginning = file.read(_SAMPLE_BYTES)
            read = raw.tell()
    except (OSError, EOFError, ValueError) as error:
        raise DataError("data.path", "a readable csv file", str(error)) from error
    if len(beginning) < _SAMPLE_BYTES and len(found.paths) == 1:
        return Extent(beginning, len(beginning))
    total = sum(found.system.size(path) for path in found.paths)
    share = read / len(beginning) if beginning else 1.0  # of packed bytes in unpacked ones
    return Extent(beginning, math.ceil(total / share))

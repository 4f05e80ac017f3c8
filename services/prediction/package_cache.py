"""Downloaded versions on disk, each under the SHA-256 of its manifest: `packages/SHA/`.

Nothing there is trusted: a version is opened like a fresh download, every file checked against its recorded hash.
"""

import errno
import logging
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from pipelines.errors import PackageError
from pipelines.registry.manifest import Manifest
from pipelines.registry.package import MANIFEST_FILE, Package, open_package, sha256
from services.prediction.cache_folder import CacheFolder

logger = logging.getLogger(__name__)


class PackageCache:
    """The versions in a folder; the calls block, may come from any thread, and never fail."""

    def __init__(self, folder: CacheFolder, max_bytes: int) -> None:
        self._folder, self._packages = folder, folder.directory / "packages"
        self._max_bytes = max_bytes
        self._guard = Lock()

    def open(self, manifest_sha256: str) -> Package | None:
        """The version with this manifest; None if it is not held or not as it was written."""
        place = self._packages / manifest_sha256
        if not place.is_dir():
            return None
        try:
            package = open_package(place, manifest_sha256)
        except PackageError as error:
            logger.warning("the cached version %s cannot be used: %s", place, error)
            return None
        with suppress(OSError):  # the folder may be there to be read only
            os.utime(place)  # in the order of these times versions leave
        return package

    def reserve(self, size_bytes: int, kept: Collection[str]) -> bool:
        """Make room for a version that is to come, within the limit and on the disk; whether it can be had.

        Versions that were not used for longest leave, but none whose manifest is in `kept`.
        """
        with self._guard:
            return self._fits(size_bytes) and self._folder.attempt(lambda: self._reserve(size_bytes, kept))

    def add(self, manifest_sha256: str, downloaded: Path, kept: Collection[str]) -> None:
        """Move the version whose manifest lies somewhere under `downloaded` here, in the place of what cannot be used.

        `downloaded` lies on the same file system, as `CacheFolder.draft` gives it. Room is made as by `reserve`.
        """
        with self._guard:
            self._folder.attempt(lambda: self._add(manifest_sha256, downloaded, kept))

    def _reserve(self, size_bytes: int, kept: Collection[str]) -> None:
        self._folder.sweep()
        free_bytes = self._folder.free_bytes()
        self._make_room(size_bytes - free_bytes, size_bytes, kept)
        if self._folder.free_bytes() < size_bytes:
            raise OSError(errno.ENOSPC, f"no room for {size_bytes} bytes", str(self._packages))

    def _add(self, manifest_sha256: str, downloaded: Path, kept: Collection[str]) -> None:
        files = list(_files(manifest_sha256, downloaded))
        size_bytes = sum(path.stat().st_size for path, _ in files)
        if not self._fits(size_bytes):
            return
        self._make_room(0, size_bytes, {manifest_sha256, *kept})
        with self._folder.draft() as draft:
            written = draft / manifest_sha256
            for path, name in files:
                (written / name).parent.mkdir(parents=True, exist_ok=True)
                path.rename(written / name)
            self._folder.move_in(written, self._packages / manifest_sha256)

    def _fits(self, size_bytes: int) -> bool:
        if size_bytes > self._max_bytes:
            logger.warning("a version of %d bytes is not cached, the limit is %d", size_bytes, self._max_bytes)
        return size_bytes <= self._max_bytes

    def _make_room(self, missing_bytes: int, size_bytes: int, kept: Collection[str]) -> None:
        """Free so much as is missing on the disk, or over the limit once `size_bytes` more are held."""
        held = [_Held(place) for place in self._packages.glob("*")]
        excess_bytes = max(missing_bytes, sum(each.size_bytes for each in held) + size_bytes - self._max_bytes)
        for each in sorted(held, key=lambda each: each.used_s):
            if excess_bytes > 0 and each.place.name not in kept:
                self._folder.discard(each.place)
                excess_bytes -= each.size_bytes


class _Held:
    """A version that is held."""

    def __init__(self, place: Path) -> None:
        self.place, self.used_s, self.size_bytes = place, 0.0, 0
        with suppress(FileNotFoundError):  # another server discards it just now
            self.used_s = place.stat().st_mtime
            self.size_bytes = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _files(manifest_sha256: str, downloaded: Path) -> Iterator[tuple[Path, str]]:
    """Path and name of the version's files: those that the manifest lists, and itself."""
    for path in downloaded.rglob(MANIFEST_FILE):
        content = path.read_bytes()
        if sha256(content) == manifest_sha256:
            for name in (MANIFEST_FILE, *Manifest.model_validate_json(content).files):
                yield path.parent / name, name
            return
    raise FileNotFoundError(f"no {MANIFEST_FILE} of SHA-256 {manifest_sha256} under {downloaded}")

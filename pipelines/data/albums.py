"""Where pictures are: in a folder for each class, or in a zip archive of such folders."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Self
from zipfile import BadZipFile, ZipFile

from fsspec import AbstractFileSystem

from pipelines.data.files import find_files, is_data
from pipelines.data.row_names import RowNames
from pipelines.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg")

ReadFile = Callable[[str], bytes]
"""The content of a picture by its path; threads may share it."""


@dataclass(frozen=True)
class Album:
    """Pictures by their paths, in a file system or in an archive there."""

    address: str
    system: AbstractFileSystem
    archive: str | None
    """Path of the archive, if they are in one."""
    folder: str
    """What holds the folders of the classes."""
    paths: tuple[str, ...]

    @classmethod
    def of(cls, address: str) -> Self:
        """List the pictures at an address. Raises DataError, also for pictures that have no class."""
        found = find_files(address, SUFFIXES)
        is_archive = len(found.paths) == 1 and not found.paths[0].lower().endswith(SUFFIXES)
        if is_archive:
            album = cls(address, found.system, found.paths[0], "", ())._with_names()
        else:
            album = cls(address, found.system, None, found.folder, found.paths)
        album.classes(album.paths)
        if not album.paths:
            raise _no_class(address, "no PNG or JPEG")
        return album

    def classes(self, paths: tuple[str, ...]) -> list[str]:
        """The name of the folder that each picture is in. Raises DataError."""
        parts = [self._inner(path).split("/") for path in paths]
        loose = [path for path, each in zip(paths, parts, strict=True) if len(each) < 2]
        if loose:
            raise _no_class(self.address, f"{PurePosixPath(loose[0]).name!r} in none of them")
        return [each[0] for each in parts]

    def name(self, path: str) -> str:
        """How a message names a picture."""
        return repr(self._inner(path))

    @property
    def row_names(self) -> RowNames:
        """What messages call the pictures, by their ids."""
        return RowNames(tuple(map(self._inner, self.paths)), one_a_file=True)

    @contextmanager
    def opened(self) -> Iterator[ReadFile]:
        """What reads the pictures; of an archive no more is read than is asked for. Raises DataError."""
        if self.archive is None:
            yield self.system.cat_file
            return
        with self._archive(self.archive) as archive:
            yield archive.read

    @contextmanager
    def _archive(self, path: str) -> Iterator[ZipFile]:
        try:
            file = self.system.open(path, "rb")
        except OSError as error:
            raise _no_archive(path, error) from error
        with file:
            try:
                archive = ZipFile(file)
            except (BadZipFile, OSError, ValueError) as error:
                raise _no_archive(path, error) from error
            yield archive

    def _with_names(self) -> Self:
        with self._archive(str(self.archive)) as archive:
            paths = tuple(sorted(name for name in archive.namelist() if is_data(name, SUFFIXES)))
        tops = {path.partition("/")[0] for path in paths}
        is_wrapped = len(tops) == 1 and all(path.count("/") > 1 for path in paths)
        return replace(self, folder=tops.pop() if is_wrapped else "", paths=paths)

    def _inner(self, path: str) -> str:
        return path.removeprefix(f"{self.folder}/") if self.folder else path


def _no_class(address: str, came: str) -> DataError:
    return DataError("data.path", f"a folder for each class below {address!r}", came)


def _no_archive(path: str, error: Exception) -> DataError:
    return DataError("data.path", "a folder, or a zip archive, with a folder for each class", f"{path!r} ({error})")

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.registry.package import MODEL_FILE, seal, sha256, write_golden
from services.prediction.cache_folder import ABANDONED_S, CacheFolder
from services.prediction.package_cache import PackageCache
from tests.unit.prediction.graphs import golden, manifest

SIZE_BYTES = 100_000
ROOM_FOR_TWO = 2 * (SIZE_BYTES + 10_000)


def download(directory: Path, seed: int, size_bytes: int = SIZE_BYTES) -> str:
    """Write a version as a registry leaves it, with a file that its manifest does not list; return its hash."""
    folder = directory / str(seed) / "model"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "parts").mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(bytes([seed]) * size_bytes)
    (folder / "parts" / "notes.md").write_text("a file in a folder")
    write_golden(folder, golden(1.0))
    hashed = seal(folder, manifest("digits"))
    (folder / "MLmodel").write_text("flavors:")
    return hashed


def cache_in(directory: Path, max_bytes: int = 10**9) -> PackageCache:
    return PackageCache(CacheFolder(directory), max_bytes)


def held(directory: Path) -> set[str]:
    return {path.name for path in (directory / "packages").iterdir()}


@contextmanager
def unwritable(directory: Path) -> Iterator[None]:
    """A file stands where folders would be made: this refuses also the superuser."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.write_text("not a folder")
    yield
    directory.unlink()


def test_a_version_that_was_added_opens_without_its_download(tmp_path: Path) -> None:
    cache = cache_in(tmp_path / "cache")
    hashed = download(tmp_path, 1)
    assert cache.open(hashed) is None
    cache.add(hashed, tmp_path / "1", kept=())
    shutil.rmtree(tmp_path / "1")
    package = cache.open(hashed)
    assert package is not None
    assert package.model == b"\x01" * SIZE_BYTES
    place = tmp_path / "cache" / "packages" / hashed
    assert (place / "parts" / "notes.md").is_file()
    assert not (place / "MLmodel").exists(), "what no hash vouches for is not kept"
    assert list((tmp_path / "cache" / "partial").iterdir()) == []


@pytest.mark.parametrize("damage", ["altered", "missing", "empty"])
def test_what_is_damaged_is_not_opened_and_replaced(tmp_path: Path, damage: str) -> None:
    cache, hashed = cache_in(tmp_path / "cache"), download(tmp_path, 1)
    cache.add(hashed, tmp_path / "1", kept=())
    file = tmp_path / "cache" / "packages" / hashed / MODEL_FILE
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"\x02" * SIZE_BYTES if damage == "altered" else b"")
    assert cache.open(hashed) is None
    download(tmp_path, 1)
    cache.add(hashed, tmp_path / "1", kept=())
    assert cache.open(hashed) is not None


def test_those_not_used_for_longest_leave_but_no_champion(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = cache_in(folder, ROOM_FOR_TWO)
    first, second, third, fourth, fifth = (download(tmp_path, seed) for seed in range(5))
    for age_s, hashed, seed in [(300, first, 0), (200, second, 1)]:
        cache.add(hashed, tmp_path / str(seed), kept=())
        os.utime(folder / "packages" / hashed, (time.time() - age_s,) * 2)
    assert cache.open(first) is not None, "now the second was not used for longest"
    cache.add(third, tmp_path / "2", kept=())
    assert held(folder) == {first, third}
    cache.add(fourth, tmp_path / "3", kept=(first,))
    assert held(folder) == {first, fourth}
    cache.add(fifth, tmp_path / "4", kept=(first, fourth))
    assert held(folder) == {first, fourth, fifth}, "champions stay, even beyond the limit"


def test_a_version_larger_than_the_cache_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = cache_in(tmp_path / "cache", SIZE_BYTES)
    hashed = download(tmp_path, 1)
    cache.add(hashed, tmp_path / "1", kept=())
    assert cache.open(hashed) is None
    assert "is not cached, the limit is 100000" in caplog.text


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "cache"
    cache = cache_in(folder)
    hashed = download(tmp_path, 1)
    with unwritable(folder):
        for _ in range(3):
            cache.add(hashed, tmp_path / "1", kept=())
            assert cache.open(hashed) is None
    assert caplog.text.count("the model cache cannot be written") == 1
    cache.add(hashed, tmp_path / "1", kept=())
    assert cache.open(hashed) is not None


def test_servers_that_share_a_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    caches = [cache_in(tmp_path / "cache", ROOM_FOR_TWO) for _ in range(4)]
    hashes = [download(tmp_path, seed) for seed in range(4)]
    start = threading.Barrier(len(caches))

    def work(cache: PackageCache) -> int:
        start.wait()
        opened = 0
        for turn in range(40):
            seed = turn % len(hashes)
            package = cache.open(hashes[seed])
            if package is None:
                place = tmp_path / threading.current_thread().name
                assert download(place, seed) == hashes[seed]
                cache.add(hashes[seed], place, kept=())
            else:
                assert sha256(package.model) == package.manifest.files[MODEL_FILE]
                opened += 1
        return opened

    with ThreadPoolExecutor(len(caches)) as pool:
        list(pool.map(work, caches))
    assert held(tmp_path / "cache") <= set(hashes)
    assert list((tmp_path / "cache" / "partial").iterdir()) == []
    caches[0].add(hashes[0], tmp_path / "0", kept=())
    assert caches[1].open(hashes[0]) is not None


def test_what_a_killed_server_left_half_written_goes(tmp_path: Path) -> None:
    partial = tmp_path / "cache" / "partial"
    for name, age_s in [("old", ABANDONED_S + 60), ("new", 60.0)]:
        (partial / name / "model").mkdir(parents=True)
        os.utime(partial / name, (time.time() - age_s,) * 2)
    assert cache_in(tmp_path / "cache").reserve(0, kept=())
    assert {path.name for path in partial.iterdir()} == {"new"}


def test_room_is_made_before_the_download(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    cache = cache_in(folder, ROOM_FOR_TWO)
    first, second = (download(tmp_path, seed) for seed in range(2))
    for age_s, hashed, seed in [(300, first, 0), (200, second, 1)]:
        cache.add(hashed, tmp_path / str(seed), kept=())
        os.utime(folder / "packages" / hashed, (time.time() - age_s,) * 2)
    assert cache.reserve(SIZE_BYTES, kept={first})
    assert held(folder) == {first}
    assert not cache.reserve(ROOM_FOR_TWO + 1, kept=())
    assert "is not cached, the limit is" in caplog.text


def test_a_full_disk_is_no_place_for_a_download(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "cache"
    cache = cache_in(folder, 2**70)
    first = download(tmp_path, 1)
    cache.add(first, tmp_path / "1", kept=())
    assert not cache.reserve(2**60, kept={first})
    assert held(folder) == {first}
    assert not cache.reserve(2**60, kept=())
    assert held(folder) == set(), "what is kept for convenience only goes first"
    assert "no room for" in caplog.text

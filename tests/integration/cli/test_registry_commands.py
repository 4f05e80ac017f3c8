"""`train`, `models`, `runs`, `promote`, `rollback`, `traffic` on a real store."""

from pathlib import Path

import pytest

from pipelines.errors import DrivetrainError, RegistryError
from pipelines.registry.model_registry import VARIANT_TAG
from pipelines.registry.traffic import CANARY_TAG, CHALLENGER, NO_RULE
from services.cli.errors import InputError
from tests.integration.cli.commands import drivetrain
from tests.integration.cli.conftest import MODEL, invoke
from tests.integration.pipelines.jobs import Home


def rows(*arguments: str) -> list[list[str]]:
    """The cells of the table that a command prints, its header first."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines()]


def test_train_left_a_version_and_a_run_a_job(store: Home) -> None:
    assert [row.version for row in store.registry.versions(MODEL)] == ["2", "1"]
    assert [run.info.status for run in store.runs(MODEL)] == ["FINISHED", "FINISHED"]


def test_models_lists_champions(store: Home) -> None:
    store.client.create_registered_model("empty")
    header, row = rows("models")
    assert header == ["model", "version", "champion", "validation", "variant", "created", "promotion"]
    assert row[:6] == [MODEL, "2", "✓", "accuracy", "1.0000", "fp32"]


def test_models_of_one_lists_its_versions_with_the_reasons(store: Home) -> None:
    _, newest, oldest = rows("models", MODEL)
    assert [newest[:3], oldest[:2]] == [[MODEL, "2", "✓"], [MODEL, "1"]]
    assert " ".join(newest).endswith("validation accuracy 1.0000 is at least as good as 1.0000 of version 1")
    assert " ".join(oldest).endswith("first champion of this model")


def test_models_tells_the_variant_of_each_version(store: Home) -> None:
    store.client.set_model_version_tag(MODEL, "1", VARIANT_TAG, "int8")
    _, newest, oldest = rows("models", MODEL)
    assert (newest[5], oldest[4]) == ("fp32", "int8")


def test_runs_compares_metrics_and_the_settings_that_differ(store: Home) -> None:
    header, newest, oldest = rows("runs", MODEL)
    assert header[:4] == ["run", "status", "started", "seconds"]
    metrics = ["best_val_accuracy", "test_accuracy", "best_val_loss", "best_epoch"]
    assert header[4:] == [*metrics, "optimizer.learning_rate"]
    runs = [run.info.run_id[:8] for run in reversed(store.runs(MODEL))]
    assert [newest[0], oldest[0]] == runs
    assert [newest[-1], oldest[-1]] == ["0.1", "0.05"]
    assert len(rows("runs", MODEL, "--limit", "1")) == 2


def test_promote_and_rollback_move_the_champion(store: Home) -> None:
    result = invoke("rollback", MODEL)
    assert (result.exit_code, result.output) == (0, f"{MODEL}: back from version 2 to version 1\n")
    assert store.registry.champions() == {MODEL: "1"}
    assert isinstance(invoke("rollback", MODEL).exception, RegistryError)

    result = invoke("promote", MODEL, "2")
    assert (result.exit_code, result.output) == (0, f"{MODEL}: version 2 is champion\n")
    assert store.registry.champions() == {MODEL: "2"}
    assert rows("models", MODEL)[1][-3:] == ["promoted", "by", "hand"]


def test_traffic_shows_and_sets_the_rule(store: Home) -> None:
    alone, challenged = "no version is challenger: the champion is alone", "version 1 is challenger"
    for arguments, shown in [
        ([], f"canary 0%, shadow 0%; {alone}"),
        (["--off"], f"canary 0%, shadow 0%; {alone}"),
        (["--canary", "0"], f"canary 0%, shadow 0%; {alone}"),
        (["--challenger", "1", "--shadow", "1"], f"canary 0%, shadow 100%; {challenged}"),
        (["--canary", "12.5%"], f"canary 12.5%, shadow 100%; {challenged}"),
        (["--off"], f"canary 0%, shadow 0%; {challenged}"),
    ]:
        result = invoke("traffic", MODEL, *arguments)
        assert (result.exit_code, result.output) == (0, f"{MODEL}: {shown}\n")
    assert store.registry.aliases()[MODEL][CHALLENGER] == "1"
    store.client.set_registered_model_tag(MODEL, CANARY_TAG, "10%")
    wrong = f"tag {CANARY_TAG}: expected a number from 0 to 1, came '10%'"
    shown = f"{MODEL}: no rule, as there is a wrong one: {wrong}; version 1 is challenger\n"
    assert invoke("traffic", MODEL).output == shown
    assert invoke("traffic", MODEL, "--shadow", "5%").output == f"{MODEL}: canary 0%, shadow 5%; {challenged}\n"


@pytest.mark.parametrize("option", ["--canary", "--shadow"])
def test_a_share_needs_a_challenger(option: str, store: Home) -> None:
    caught = invoke("traffic", MODEL, option, "10%").exception
    assert isinstance(caught, InputError)
    expected = f"expected a version that takes the share, as {MODEL!r} has none yet, came none"
    assert str(caught) == f"--challenger: {expected}"
    assert store.registry.traffic(MODEL).rule == NO_RULE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models", "nope"], f"MODEL: expected one of {MODEL}, came 'nope'"),
        (["runs", "nope"], "MODEL: expected one that has been trained, came 'nope'"),
        (["promote", "nope", "1"], f"MODEL: expected one of {MODEL}, came 'nope'"),
        (["promote", MODEL, "3"], "VERSION: expected one of 1, 2, came 3"),
        (["rollback", "nope"], f"MODEL: expected one of {MODEL}, came 'nope'"),
        (["traffic", "nope"], f"MODEL: expected one of {MODEL}, came 'nope'"),
        (
            ["traffic", MODEL, "--canary", "110%"],
            "--canary: expected a share from 0% to 100%, such as 10% or 0.1, came '110%'",
        ),
        (
            ["traffic", MODEL, "--shadow", "all"],
            "--shadow: expected a share from 0% to 100%, such as 10% or 0.1, came 'all'",
        ),
        (["traffic", MODEL, "--challenger", "3"], "--challenger: expected one of 1, 2, came 3"),
        (["traffic", MODEL, "--off", "--canary", "0"], "--off: expected it alone, came --canary or --shadow besides"),
    ],
)
def test_what_is_not_there_is_named(arguments: list[str], message: str, store: Home) -> None:
    caught = invoke(*arguments).exception
    assert isinstance(caught, InputError)
    assert str(caught) == message


def test_an_unknown_model_exits_2_with_one_line(store: Home) -> None:
    result = drivetrain("promote", "nope", "1", home=store.directory)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: MODEL: expected one of {MODEL}, came 'nope'\n"


def test_an_empty_home_says_how_to_begin(tmp_path: Path, store: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path / "new"))
    result = invoke("models")
    assert (result.exit_code, result.stdout) == (0, "no champions yet; train one: drivetrain train digits-mlp\n")
    caught = invoke("models", "digits").exception
    assert "there is none yet" in str(caught)


def test_a_store_that_is_away_is_an_error_of_ours(store: Home) -> None:
    assert rows("runs", MODEL)
    with store.without("experiments"):
        caught = invoke("runs", MODEL).exception
    assert isinstance(caught, DrivetrainError)

"""Exit codes and messages of real processes."""

import json
from pathlib import Path

import pytest
import yaml

from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import recipes
from tests.integration.cli.commands import drivetrain
from tests.integration.pipelines.ports import free_port


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nope"], "nope: expected a YAML file or one of the recipes breast-cancer-mlp, "),
        (["train", "digits-mlp", "--set", "training.epochs=none"], "training.epochs: expected a valid integer"),
        (["train", "my.yaml"], "data.rows: expected greater than or equal to 10, came 1"),
        (["init", "digits-mlp", "my.yaml"], "PATH: expected a file that does not exist yet, came 'my.yaml'"),
        (["resume", "deadbeef"], "JOB: expected the id of a run that was trained here, or of a job of the service at "),
        (["init", "digits-mlp", "none/my.yaml"], "PATH: expected a place to write to, came 'none/my.yaml' (No such"),
    ],
)
def test_wrong_input_exits_2_with_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    wrong = "data: {source: synthetic, rows: 1}\n"
    (tmp_path / "my.yaml").write_text(wrong)
    result = drivetrain(*arguments, home=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}")
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["my.yaml"]
    assert (tmp_path / "my.yaml").read_text() == wrong


def test_no_service_at_the_address_exits_1_and_says_how_to_start_one(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    result = drivetrain("predict", "digits-mlp", "-", "--address", address, home=tmp_path)
    expected = f"error: no prediction service answers at {address}; start one with: drivetrain serve\n"
    assert (result.returncode, result.stderr) == (1, expected)


def test_init_writes_a_recipe_that_can_be_edited(tmp_path: Path) -> None:
    result = drivetrain("init", "digits-cnn", "my[1].yaml", home=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "wrote my[1].yaml; train it with: drivetrain train my[1].yaml\n"
    assert (tmp_path / "my[1].yaml").read_text() == recipes()["digits-cnn"]


def test_schema_prints_a_json_schema_of_every_section(tmp_path: Path) -> None:
    result = drivetrain("schema", home=tmp_path)
    assert result.returncode == 0
    schema = json.loads(result.stdout)
    sections = ["name", "seed", "data", "model", "loss", "optimizer", "schedule", "regularization"]
    sections += ["training", "compute", "registry"]
    assert (schema["type"], list(schema["properties"])) == ("object", sections)
    assert all(entry["description"] for entry in schema["properties"].values())
    assert set(sections) == set(TrainingSpec.model_fields)


def test_recipes_lists_every_recipe_with_what_it_is(tmp_path: Path) -> None:
    result = drivetrain("recipes", home=tmp_path)
    assert result.returncode == 0
    _, *lines = result.stdout.splitlines()
    files = sorted(path.stem for path in Path(__file__).parents[3].glob("pipelines/recipes/*.yaml"))
    assert len(files) == 10
    assert [line.split()[0] for line in lines] == files
    assert all(len(line.split()) > 5 for line in lines)
    assert {yaml.safe_load(text)["name"] for text in recipes().values()} == set(files)


def test_the_bare_command_explains_itself(tmp_path: Path) -> None:
    result = drivetrain("--help", home=tmp_path)
    assert result.returncode == 0
    assert "Exit codes: 0 done, 1 the job failed, 2 the input was wrong, 130 interrupted." in result.stdout

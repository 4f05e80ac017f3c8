import signal
import sys
from collections.abc import Iterator

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

import services.cli.errors
from pipelines import errors
from pipelines.errors import DrivetrainError
from services.cli.errors import AccessError, AwayError, InputError, JobError, ServiceError, TransientError
from services.cli.main import USER_ERRORS, app, main

COMMANDS = [command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback]

CODES: dict[type[DrivetrainError], int] = {
    errors.SpecError: 2,
    errors.DataError: 2,
    errors.ResourceError: 2,
    InputError: 2,
    errors.TrainingError: 1,
    errors.NonFiniteError: 1,
    errors.WorkerLostError: 1,
    errors.ClusterLostError: 1,
    errors.TrackingError: 1,
    errors.SupersededError: 1,
    errors.RegistryError: 1,
    errors.RegistryOutageError: 1,
    errors.PackageError: 1,
    JobError: 1,
    ServiceError: 1,
    AccessError: 1,
    TransientError: 1,
    AwayError: 1,
}


@pytest.fixture
def _sigterm() -> Iterator[None]:
    """The command installs its own handler, which must not outlast a test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def named_in(module: object) -> set[type[DrivetrainError]]:
    found = {value for value in vars(module).values() if isinstance(value, type) and issubclass(value, DrivetrainError)}
    return found - {DrivetrainError}


def test_every_error_has_its_exit_code() -> None:
    assert set(CODES) == named_in(errors) | named_in(services.cli.errors)
    assert {kind: 2 if issubclass(kind, USER_ERRORS) else 1 for kind in CODES} == CODES


@pytest.mark.usefixtures("_sigterm")
@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["train", "digits-mpl"], 2, "error: digits-mpl: expected a YAML file or one of the recipes "),
        (["train", "[/none]"], 2, "error: [/none]: expected a YAML file"),
        (["train", "digits-mlp", "--set", "training.epochs=0"], 2, "error: training.epochs: expected greater than or"),
        (
            ["train", "digits-mlp", "--set", "training.epoch=1"],
            2,
            "error: training.epoch: expected 'epochs' (the nearest",
        ),
        (["train", "digits-mlp", "--set", "epochs"], 2, "error: --set: expected PATH=VALUE, such as training.epochs=5"),
        (["predict", "m", "none.csv"], 2, "error: ROWS: expected an existing file, came 'none.csv'"),
        (["init", "digits"], 2, "error: RECIPE: expected one of breast-cancer-mlp, "),
        (
            ["predict", "m", "-", "--address", "127.0.0.1:1"],
            1,
            "error: no prediction service answers at 127.0.0.1",
        ),
        (
            ["predict", "m", "-", "--address", "http://here"],
            2,
            "error: address of the prediction service: expected HOS",
        ),
        (["train", "digits-mlp", "--detach"], 2, "error: --detach: expected together with --remote or "),
        (["train", "digits-mlp", "--key", "k"], 2, "error: --key: expected together with --remote or "),
        (
            ["train", "digits-mlp", "--remote", "127.0.0.1:1"],
            1,
            "error: no training service answers at 127.0.0.1:1; start one with: drivetrain serve-training, or",
        ),
        (["jobs", "--address", "127.0.0.1:1"], 1, "error: no training service answers at 127.0.0.1:1"),
        (["watch", "4f1c2a9b", "--address", "127.0.0.1:1"], 1, "error: no training service answers at 127.0.0.1:1"),
        (["upload", "none.csv"], 2, "error: FILE: expected an existing file, came 'none.csv'"),
    ],
)
def test_an_error_is_one_line_on_standard_error(
    arguments: list[str], code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["drivetrain", *arguments])
    for variable in ("DRIVETRAIN_TRAINING_ADDRESS", "DRIVETRAIN_TOKEN", "DRIVETRAIN_TOKEN_FILE"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(line)
    assert len(printed.err.splitlines()) == 1


def test_the_commands_are_those_of_the_design() -> None:
    training = "train jobs watch cancel resume upload"
    assert COMMANDS[:6] == training.split()
    rest = "models runs promote rollback traffic serve token predict status ui doctor recipes init schema demo"
    assert [name for name in COMMANDS[6:] if name != "serve-training"] == rest.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    example = f"drivetrain {command} "
    (line,) = (line for line in result.output.splitlines() if "Example:" in line)
    assert example in f"{line} "


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_whole_option_names_at_80_columns(command: str) -> None:
    lines = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"}).output.splitlines()
    shown = {word for line in lines if line.startswith("│") for word in line.split() if word.startswith("--")}
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    options = {name for option in group.commands[command].params for name in (*option.opts, *option.secondary_opts)}
    assert {name for name in options if name.startswith("--")} <= shown


@pytest.mark.parametrize("arguments", [["nope"], ["train"], ["promote", "m", "one"], ["ui", "--port", "70000"]])
def test_what_the_parser_refuses_exits_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2

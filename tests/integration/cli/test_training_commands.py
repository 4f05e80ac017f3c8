"""`train --remote`, `jobs`, `watch`, `cancel`, `resume`, `upload`, `doctor` against a real service on a real Ray."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner, Result

from pipelines.errors import DrivetrainError, SpecError
from services.cli.errors import AccessError, InputError
from services.cli.main import app
from tests.integration.cli.commands import SERVERS, drivetrain, environment, running
from tests.integration.cli.conftest import SPEC, write_clouds
from tests.integration.pipelines.ports import free_port
from tests.integration.training.ray_head import RayHead, ray_head
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SERVE = [sys.executable, "-m", "services.training"]
ENDLESS = ["--set", "training.epochs=1000000"]


@dataclass
class Desk:
    """A place to give commands from: files of its own, and the address of the service."""

    directory: Path
    address: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a process."""
        return drivetrain(*arguments, home=self.directory, DRIVETRAIN_TRAINING_ADDRESS=self.address)

    def ask(self, *arguments: str, **variables: str) -> Result:
        """Run a command in this process, which takes a tenth of the time; an error of ours is raised."""
        result = CliRunner().invoke(app, arguments, env={"DRIVETRAIN_TRAINING_ADDRESS": self.address} | variables)
        if isinstance(result.exception, DrivetrainError):
            raise result.exception
        return result

    def jobs(self, *arguments: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.ask("jobs", "--output", "json", *arguments).stdout)
        return found

    def submit(self, *arguments: str) -> str:
        """The id of a detached job."""
        return job_in(self.ask("train", "synthetic-mlp", "--detach", *arguments).stdout)

    def end(self, job: str) -> None:
        """Cancel a job and wait for its end."""
        self.ask("cancel", job)
        eventually(lambda: self.state(job) == "killed")

    def state(self, job: str) -> object:
        return next(each["state"] for each in self.jobs("--limit", "100") if each["id"] == job)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    home = tmp_path_factory.mktemp("cluster")
    MlflowClient(f"sqlite:///{home / 'mlflow.db'}").search_experiments()  # several processes will want the database
    with ray_head(home) as running_head:
        yield running_head


@contextmanager
def serving(head: RayHead, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The training service as a process of its own."""
    places = ["--port", str(port), "--metrics-port", "0", "--ray-dashboard", head.dashboard, "--python", sys.executable]
    arguments = [*places, "--poll-interval", "0.2", *options]
    with running(*arguments, home=head.home, command=SERVE, log_name=f"service-{port}.log") as service:
        service.wait_for("ready: ")
        yield service.popen
        service.popen.terminate()
        service.popen.wait(30)


@pytest.fixture(scope="module")
def address(head: RayHead) -> Iterator[str]:
    port = free_port()
    with serving(head, port):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def desk(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for variable in SERVERS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_clouds(tmp_path / "clouds.csv")
    (tmp_path / "clouds.yaml").write_text(SPEC)
    return Desk(tmp_path, address)


def job_in(printed: str) -> str:
    """The id in `job ID submitted`."""
    (line,) = (line for line in printed.splitlines() if line.startswith("job "))
    return line.split()[1]


def test_a_local_csv_is_trained_there_as_it_would_be_here(desk: Desk, head: RayHead) -> None:
    trained = desk.run("train", "clouds.yaml", "--key", "clouds-1")
    assert trained.returncode == 0, trained.stderr
    lines = trained.stdout.splitlines()
    content = sha256((desk.directory / "clouds.csv").read_bytes()).hexdigest()
    assert lines[0].startswith("clouds.csv: uploaded, ")
    assert lines[0].endswith(f"; sha256:{content}")
    job = job_in(trained.stdout)
    assert lines[1].startswith(f"job {job} submitted; watch it: drivetrain watch {job[:8]}; end it: drivetrain cancel ")
    assert "clouds: loading data" in lines
    assert any(line.startswith("clouds: epoch 10  train loss ") for line in lines)
    assert lines[-3].startswith("clouds version 1 trained in ")
    assert lines[-2].startswith("  test: accuracy 1.0000, ")
    assert lines[-1] == f"  is champion: first champion of this model; run {job}"
    assert not list(desk.directory.glob(".drivetrain*"))

    again = desk.ask("train", "clouds.yaml", "--key", "clouds-1", "--detach")
    assert "that the service has already; sha256:" in again.stdout
    assert f"job {job} was submitted before under this key; " in again.stdout
    (listed,) = desk.jobs("--model", "clouds")
    assert (listed["id"], listed["state"], listed["version"]) == (job, "finished", "1")
    with pytest.raises(InputError, match="stands for another spec"):
        desk.ask("train", "clouds.yaml", "--key", "clouds-1", "--set", "seed=7")

    watched = desk.ask("watch", job[:8], "--logs")
    assert watched.exit_code == 0
    assert watched.stdout.splitlines()[-3:] == lines[-3:]
    table = desk.ask("jobs", "--state", "finished", "--model", "clouds").stdout.splitlines()
    assert table[0].split() == ["job", "model", "state", "submitted", "seconds", "attempt", "version", "reason"]
    assert table[1].split()[:3] == [job[:8], "clouds", "finished"]
    assert (head.home / "datasets" / content).read_bytes() == (desk.directory / "clouds.csv").read_bytes()


def test_ctrl_c_leaves_the_job_running_until_it_is_cancelled_and_resumed(desk: Desk) -> None:
    with running("train", "synthetic-mlp", *ENDLESS, "--remote", desk.address, home=desk.directory) as command:
        command.wait_for("synthetic-mlp: epoch 10")
        command.popen.send_signal(signal.SIGINT)
        assert command.popen.wait(30) == 130
        printed = command.printed()
    job = job_in(printed)
    option = f" --address {desk.address}"  # the variable that names it was not set there
    assert f"drivetrain watch {job[:8]}{option}; end it: drivetrain cancel {job[:8]}{option}" in printed
    assert "detached, the job goes on; " in printed
    assert "Traceback" not in printed
    assert desk.state(job) == "running"

    with running("watch", job[:8], "--address", desk.address, home=desk.directory) as watching:
        watching.wait_for("synthetic-mlp: epoch 20")
        assert desk.ask("cancel", job[:8]).stdout.startswith(f"job {job} of synthetic-mlp: ")
        assert watching.popen.wait(90) == 1
        assert f"error: job {job} was killed: " in watching.printed()
    assert desk.state(job) == "killed"
    assert desk.ask("cancel", job[:8]).stdout == f"job {job} of synthetic-mlp: killed\n"

    def is_resumed() -> bool:
        try:
            return desk.ask("resume", job[:8], "--detach").exit_code == 0
        except InputError as error:
            if "its logs are being kept" not in str(error):
                raise
            return False

    eventually(is_resumed)
    eventually(lambda: desk.state(job) == "running")
    desk.end(job)


def test_a_failing_job_exits_1_with_its_reason(desk: Desk) -> None:
    overrides = ["--set", "optimizer.learning_rate=99", "--set", "optimizer.name=sgd"]
    failed = desk.run("train", "diabetes-mlp", *overrides)
    assert failed.returncode == 1
    job = job_in(failed.stdout)
    assert failed.stderr.startswith(f"error: job {job} failed: the loss is no longer finite in epoch ")
    assert failed.stderr.endswith(f"; continue it with: drivetrain resume {job[:8]}\n")
    assert len(failed.stderr.splitlines()) == 1
    (listed,) = desk.jobs("--state", "failed")
    assert listed["id"] == job


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digits-mlp", "--set", "compute.workers=99"], "the training service refused the request: compute: "),
        (["train", "digits-mlp", "--set", "training.epochs=0"], "training.epochs: expected greater than or equal to 1"),
        (
            ["train", "digits-mlp", "--key", "a b"],
            "the training service refused the request: idempotency_key: expected",
        ),
        (
            ["train", "clouds.yaml", "--set", "data.path=/none.csv"],
            "data.path: expected content that was uploaded, as sha256:HEX (drivetrain upload FILE), came '/none.csv'",
        ),
        (["train", "clouds.yaml", "--set", "data.path=none.csv"], "data.path: expected a file here, an absolute path"),
        (["watch", "f" * 32], f"the training service refused the request: unknown job '{'f' * 32}'"),
        (
            ["cancel", "ffffff"],
            "JOB: expected the id of a job, or the beginning of just one, came 'ffffff', with which",
        ),
    ],
)
def test_what_the_service_refuses_is_the_users(arguments: list[str], message: str, desk: Desk) -> None:
    with pytest.raises((InputError, SpecError)) as caught:
        desk.ask(*arguments)
    assert str(caught.value).startswith(message)


def test_upload_prints_the_address_for_a_spec(desk: Desk) -> None:
    (desk.directory / "more.csv").write_text("a,b\n1,2\n")
    content = sha256(b"a,b\n1,2\n").hexdigest()
    uploaded = desk.ask("upload", "more.csv")
    assert (uploaded.exit_code, uploaded.stdout) == (0, f"sha256:{content}\n")
    assert uploaded.stderr.startswith("more.csv: uploaded, 8 bytes; ")


def test_a_remote_train_loads_neither_torch_nor_ray_nor_mlflow(desk: Desk) -> None:
    code = (
        "import sys\n"
        "from services.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ended: print('exit code', ended.code or 0)\n"
        "print('heavy:', *{name.split('.')[0] for name in sys.modules} & {'torch', 'ray', 'mlflow', 'pandas'})"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "train",
        "clouds.yaml",
        "--key",
        "clouds-1",
        "--remote",
        desk.address,
    ]  # may have been run already
    ran = subprocess.run(
        command,
        cwd=desk.directory,
        env=environment(desk.directory),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ran.stdout.splitlines()[-2:] == ["exit code 0", "heavy:"]


def test_a_watch_outlasts_the_service(head: RayHead, desk: Desk) -> None:
    port = free_port()
    far = Desk(desk.directory, f"127.0.0.1:{port}")
    with serving(head, port) as first:
        job = far.submit(*ENDLESS)
        with running("watch", job, "--address", far.address, home=desk.directory) as watching:
            watching.wait_for("synthetic-mlp: epoch 10")
            first.kill()
            first.wait()
            watching.wait_for("; waiting, the job goes on")
            with serving(head, port):
                far.end(job)
                assert watching.popen.wait(60) == 1
            printed = watching.printed()
    assert printed.count("waiting, the job goes on") == 1
    assert f"error: job {job} was killed: " in printed
    numbers = [int(line.split()[2]) for line in printed.splitlines() if line.startswith("synthetic-mlp: epoch ")]
    assert numbers == list(range(10, numbers[-1] + 1, 10))


def test_tokens_decide_who_may_do_what(head: RayHead, desk: Desk) -> None:
    tokens = desk.directory / "tokens"
    tokens.write_text("read looker\nsubmit worker\n")
    (desk.directory / "mine").write_text("worker\n")
    (desk.directory / "new.csv").write_text("a,b\n3,4\n")
    port = free_port()
    with serving(head, port, "--tokens-file", str(tokens)):
        closed = Desk(desk.directory, f"127.0.0.1:{port}")
        with pytest.raises(AccessError, match="wants a token: put it into DRIVETRAIN_TOKEN, or the path of its file"):
            closed.ask("jobs")
        with pytest.raises(AccessError, match="does not know the token in DRIVETRAIN_TOKEN"):
            closed.ask("jobs", DRIVETRAIN_TOKEN="other")
        assert closed.ask("jobs", DRIVETRAIN_TOKEN="looker").exit_code == 0
        with pytest.raises(AccessError, match="does not allow this with the token in DRIVETRAIN_TOKEN: "):
            closed.ask("upload", "new.csv", DRIVETRAIN_TOKEN="looker")
        assert closed.ask("upload", "new.csv", DRIVETRAIN_TOKEN_FILE="mine").exit_code == 0

        assert failures(closed.ask("doctor", "--output", "json")) == {"training service"}
        looker = closed.ask("doctor", "--output", "json", DRIVETRAIN_TOKEN="looker")
        assert failures(looker) == {"training service: rights"}
        assert failures(closed.ask("doctor", "--output", "json", DRIVETRAIN_TOKEN="worker")) == set()


def failures(result: Result) -> set[str]:
    """The names of what the doctor found wrong."""
    failed = {each["name"] for each in json.loads(result.stdout) if each["state"] == "failed"}
    assert result.exit_code == (1 if failed else 0)
    return failed


def test_the_doctor_asks_the_ray_cluster(head: RayHead, desk: Desk) -> None:
    (port,) = (word.removeprefix("--port=") for word in head.command if word.startswith("--port="))
    variables = {"RAY_ADDRESS": f"127.0.0.1:{port}", "RAY_AUTH_MODE": "disabled"}
    found = json.loads(desk.ask("doctor", "--output", "json", **variables).stdout)
    (ray,) = (each for each in found if each["name"] == "Ray")
    assert ray["state"] == "ok", ray
    assert ray["detail"].endswith(f" at 127.0.0.1:{port}, 2 CPUs, 0 GPUs")

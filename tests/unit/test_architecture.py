"""The rules of the house that an import can break: directions, weights of imports, docstrings."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = {ROOT / "services/prediction/pb", ROOT / "services/training/pb"}
MODULES = sorted(
    path
    for package in ("pipelines", "services")
    for path in (ROOT / package).rglob("*.py")
    if GENERATED.isdisjoint(path.parents)
)
PIPELINES = [path for path in MODULES if path.is_relative_to(ROOT / "pipelines")]
PUBLIC = [ROOT / "services/prediction/client/__init__.py"]
"""Packages that programs of others import names from."""
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at the top or inside functions."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def roots(path: Path) -> set[str]:
    """Top-level packages that a file imports."""
    return {module.split(".")[0] for module in imports(path)}


def importers(package: str, among: list[Path]) -> list[str]:
    return [name_of(path) for path in among if package in roots(path)]


def test_there_is_something_to_check() -> None:
    assert len(PIPELINES) > 30
    assert ROOT / "services/prediction/server.py" in MODULES


def test_the_pipeline_knows_no_service() -> None:
    assert importers("services", PIPELINES) == []


def test_nothing_imports_its_tests() -> None:
    assert importers("tests", MODULES) == []


def test_ray_stays_at_the_edge_of_the_pipeline() -> None:
    edge = ["pipelines/data/ray_blocks.py", "pipelines/training/launcher.py", "pipelines/training/worker.py"]
    assert importers("ray", PIPELINES) == edge


def test_the_loop_names_no_framework_but_torch() -> None:
    modules = (
        "acceleration",
        "augmentation",
        "batches",
        "checkpoints",
        "diagnosis",
        "gradients",
        "health",
        "lean_adam",
        "loop",
        "objective",
        "optimizers",
        "schedules",
        "slabs",
        "streamed",
        "tally",
        "team",
    )
    for module in modules:
        path = ROOT / f"pipelines/training/{module}.py"
        foreign = roots(path) - sys.stdlib_module_names - {"pipelines"}
        assert foreign <= {"torch"}, name_of(path)


@pytest.mark.parametrize(
    ("package", "may_import"),
    [
        ("data", {"data", "errors", "spec", "home", "registry"}),
        ("models", {"models", "errors", "registry", "spec"}),
        ("training", {"training", "data", "models", "errors", "spec", "home"}),
        ("export", {"export", "data", "models", "registry"}),
        ("evaluation", {"evaluation", "data", "registry", "spec", "training"}),
        ("registry", {"registry", "errors", "outages"}),
    ],
)
def test_the_parts_of_the_pipeline_import_in_one_direction(package: str, may_import: set[str]) -> None:
    for path in (ROOT / "pipelines" / package).glob("*.py"):
        own = {module.split(".")[1] for module in imports(path) if module.startswith("pipelines.")}
        assert own <= may_import, name_of(path)


def test_serving_reaches_no_further_than_the_registry() -> None:
    serving = [path for path in MODULES if path.is_relative_to(ROOT / "services/prediction")]
    shared = [path for path in MODULES if path.is_relative_to(ROOT / "services/rpc")]
    for path in serving + shared:
        own = {module for module in imports(path) if module.startswith("pipelines.")}
        allowed = ("pipelines.registry", "pipelines.errors", "pipelines.home")
        assert all(module.startswith(allowed) for module in own), name_of(path)
        assert not roots(path) & {"torch", "ray"}, name_of(path)


def test_a_lone_worker_loads_what_it_needs_and_no_more() -> None:
    code = "import sys, pipelines.training.worker\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, cwd=ROOT
    )
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert "torch" in loaded
    assert not loaded & {"ray", "pandas", "pyarrow", "sklearn", "mlflow", "onnx", "PIL"}


@pytest.mark.parametrize("package", ["services.prediction", "services.rpc", "pipelines.registry"])
def test_serving_loads_neither_torch_nor_ray(package: str) -> None:
    folder = ROOT / package.replace(".", "/")
    modules = [
        name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in sorted(folder.rglob("*.py"))
        if path.name != "__main__.py"
    ]
    assert len(modules) > 4
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    command = [sys.executable, "-c", code, *modules]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT)
    loaded = set(result.stdout.split())
    assert set(modules) <= loaded
    assert not {name for name in loaded if name.split(".")[0] in ("torch", "ray")}


def test_the_client_knows_nothing_of_the_server() -> None:
    for path in (path for path in MODULES if path.is_relative_to(ROOT / "services/prediction/client")):
        own = {module for module in imports(path) if module.startswith(("pipelines.", "services."))}
        allowed = ("services.prediction.client", "services.prediction.pb", "services.rpc.channels")
        assert all(module.startswith((*allowed, "pipelines.errors", "pipelines.registry.manifest")) for module in own)
        assert roots(path) - sys.stdlib_module_names <= {"grpc", "google", "numpy", "pipelines", "services"}


def test_services_know_of_each_other_only_what_they_share() -> None:
    for service in ("prediction", "training", "rpc"):
        for path in (path for path in MODULES if path.is_relative_to(ROOT / "services" / service)):
            own = {module.split(".")[1] for module in imports(path) if module.startswith("services.")}
            assert own <= {service, "rpc"}, name_of(path)


def test_imports_are_absolute() -> None:
    relative = [
        name_of(path)
        for path in (*MODULES, *TESTS)
        if any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree_of(path)))
    ]
    assert relative == []


def test_init_files_hold_a_docstring_at_most() -> None:
    for path in (path for path in MODULES if path.name == "__init__.py" and path not in PUBLIC):
        assert len(tree_of(path).body) <= 1, name_of(path)
        assert len(path.read_text().splitlines()) <= 5, name_of(path)


@pytest.mark.parametrize("path", PUBLIC, ids=name_of)
def test_what_others_import_from_us_is_only_gathered_in_an_init_file(path: Path) -> None:
    _, *statements = tree_of(path).body
    assert all(isinstance(each, ast.ImportFrom | ast.Assign) for each in statements)
    package = name_of(path.parent).replace("/", ".")
    assert all(module.startswith(package) for module in imports(path))


def test_every_module_says_what_it_is_for() -> None:
    assert [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))] == []


def test_no_module_is_a_catch_all() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "common", "base", "misc"}


def test_files_stay_readable() -> None:
    # 300 lines are the aim; the spec's documented fields and the codec's tables may take up to 400.
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


WALL_CLOCKS = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime", "ctime"}
MEANT_WALL_CLOCKS = {
    "services/prediction/spans.py": {"time_ns"},  # a span is a time of day; its lengths come from the other clock
    "services/prediction/metrics.py": {"time"},  # when the last inference was, told to people
    "services/prediction/cache_folder.py": {"time"},  # beside the times of files, which are of that clock
}


def wall_clocks(path: Path) -> set[str]:
    """The functions that a file calls, or takes, for the time of day."""
    nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)]
    return {
        node.attr
        for node in nodes
        if node.attr in WALL_CLOCKS
        and isinstance(node.value, ast.Name)
        and node.value.id in {"time", "datetime", "date"}
    }


def test_a_clock_that_jumps_does_not_matter_to_the_prediction_service() -> None:
    serving = [path for path in MODULES if name_of(path).startswith(("services/prediction/", "services/rpc/"))]
    found = {name_of(path): wall_clocks(path) for path in serving}
    assert {name: clocks for name, clocks in found.items() if clocks} == MEANT_WALL_CLOCKS

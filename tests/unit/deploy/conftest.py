"""The manifests as users render them, with secrets that the project's own script made; without kustomize, a skip."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.deploy.manifests import Manifests, kustomize, render

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "deploy/kubernetes"

MONITORING, QUEUE, GPU, POSTGRES = "monitoring", "queue-autoscaling", "gpu", "external-postgres"
VARIANTS: dict[str, tuple[str, ...]] = {
    "base": (),
    MONITORING: (MONITORING,),
    QUEUE: (MONITORING, QUEUE),
    GPU: (GPU,),
    POSTGRES: (POSTGRES,),
    "everything": (MONITORING, QUEUE, GPU, POSTGRES),
}
"""Each component by itself, as far as it can be, and all together."""


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of deploy/kubernetes with secrets of its own."""
    if kustomize() is None:
        pytest.skip("the manifests are not checked: neither kubectl nor kustomize is on the PATH")
    tree = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(SOURCE, tree, ignore=lambda folder, names: set(names) if Path(folder).name == "secrets" else ())
    command = [str(ROOT / "deploy/compose/secrets.sh"), str(tree / "base/secrets")]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return tree


@pytest.fixture(scope="session")
def rendered(tree: Path) -> dict[str, Manifests]:
    """Every variant and the example overlay, by name."""
    variants = {name: _render_variant(tree, name, components) for name, components in VARIANTS.items()}
    return variants | {"example": render(tree / "overlays/example")}


@pytest.fixture(scope="session")
def base(rendered: dict[str, Manifests]) -> Manifests:
    return rendered["base"]


@pytest.fixture(params=[*VARIANTS, "example"])
def manifests(request: pytest.FixtureRequest, rendered: dict[str, Manifests]) -> Manifests:
    """One variant after the other."""
    variant: str = request.param
    return rendered[variant]


def _render_variant(tree: Path, name: str, components: tuple[str, ...]) -> Manifests:
    overlay = tree / "overlays" / f"test-{name}"
    overlay.mkdir()
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../base"],
        "components": [f"../../components/{component}" for component in components],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return render(overlay)

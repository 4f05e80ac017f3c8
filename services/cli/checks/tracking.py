"""The check of MLflow: reachable, of a version that fits, credentials, right to write."""

import os
import secrets
import ssl
from base64 import b64encode
from http.client import HTTPException
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from packaging.version import InvalidVersion, Version

from pipelines.errors import DrivetrainError
from pipelines.home import mlflow_client, tracking_uri
from services.cli.checks.finding import Finding

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

NAME = "MLflow"
OLDEST = Version("3.15")

_TIMEOUT_S = 3.0
_IMPATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def tracking() -> list[Finding]:
    """MLflow at MLFLOW_TRACKING_URI; the embedded one needs nothing but DRIVETRAIN_HOME."""
    uri = tracking_uri()
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return [Finding(NAME, "ok", f"embedded, {uri} (MLFLOW_TRACKING_URI names no server)")]
    found = _server_version(uri) if uri.startswith(("http://", "https://")) else ""
    return [found if isinstance(found, Finding) else _write_right(uri, found)]


def version_mismatch(server: str, client: str) -> str:
    """Why a server's version does not go with the client's; empty where it does."""
    try:
        theirs, ours = Version(server), Version(client)
    except InvalidVersion:
        return f"expected the version of an MLflow server, came {server[:40]!r}"
    if theirs.major != ours.major or theirs < OLDEST:
        return f"expected MLflow {ours.major}.x, at least {OLDEST}, came {server}"
    return ""


def _server_version(uri: str) -> str | Finding:
    """The server's version, or why it is none that can be used."""
    try:
        asked = Request(f"{uri.rstrip('/')}/version", headers=_credentials())
        with urlopen(asked, timeout=_TIMEOUT_S, context=_tls()) as answer:
            found: str = answer.read(200).decode(errors="replace").strip()
    except HTTPError as error:
        return _refusal(uri, error.code, error.read(1000).decode(errors="replace"))
    except (URLError, HTTPException, OSError) as error:
        advice = "start the server, mend MLFLOW_TRACKING_URI, or unset it to use the embedded store"
        return Finding(NAME, "failed", f"nothing answers at {uri} ({getattr(error, 'reason', error)})", advice)
    if wrong := version_mismatch(found, version("mlflow-skinny")):
        return Finding(NAME, "failed", f"{uri}: {wrong}", "install the same version on both sides")
    return found


def _write_right(uri: str, server: str) -> Finding:
    """Register a model of a name that nobody has and delete it again, which leaves nothing behind."""
    for name, value in _IMPATIENCE.items():
        os.environ[name] = value  # read by MLflow at each request; the doctor's process ends with the command
    from mlflow.exceptions import MlflowException

    scratch = f"drivetrain-doctor-{secrets.token_hex(8)}"
    try:
        client = mlflow_client()
        client.create_registered_model(scratch)
        client.delete_registered_model(scratch)
    except MlflowException as error:
        return _refusal(uri, _status_of(error), str(error.message))
    except DrivetrainError as error:
        return Finding(NAME, "failed", str(error), "let it name a server, such as http://localhost:5000")
    return Finding(NAME, "ok", f"{server} at {uri}, may write".lstrip())


def _credentials() -> dict[str, str]:
    """The header that MLflow's own client sends."""
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _tls() -> ssl.SSLContext:
    """Certificates as MLflow's own client is told to check them."""
    context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _status_of(error: "MlflowException") -> int:
    status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]
    return status


def _refusal(uri: str, status: int, text: str) -> Finding:
    shown = " ".join(text.split())[:200]
    if status == 401 or "401" in shown:
        advice = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return Finding(NAME, "failed", f"{uri} does not know the credentials", advice)
    if "host header" in shown.lower():
        advice = (
            "add the host of MLFLOW_TRACKING_URI, with and without port, to the server's MLFLOW_SERVER_ALLOWED_HOSTS"
        )
        return Finding(NAME, "failed", f"{uri} refuses the name it is called by: {shown}", advice)
    if status == 403 or "403" in shown:
        advice = "ask for the right to create experiments and models"
        return Finding(NAME, "failed", f"{uri} does not allow to write: {shown}", advice)
    return Finding(
        NAME, "failed", f"{uri} answers HTTP {status}: {shown}", "see whether this is an MLflow server, and its log"
    )

"""The check of Ray at RAY_ADDRESS. Ray is asked by a process of its own, which can be ended when it waits too long."""

import json
import os
import re
import socket
import subprocess
import sys
from importlib.util import find_spec

from services.cli.checks.finding import Finding

NAME = "Ray"

_CONNECT_S = 2.0
_ASK_S = 9.0
_QUESTION = """
import json, sys, ray
try:
    ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
    answer = {"version": ray.__version__, "resources": ray.cluster_resources()}
except BaseException as error:
    answer = {"error": f"{type(error).__name__}: {error}"}
print("\\n" + json.dumps(answer), flush=True)
"""


def ray_cluster() -> list[Finding]:
    """The cluster of local training; Ray itself compares its versions and those of Python when it connects."""
    address = os.environ.get("RAY_ADDRESS", "")
    if not address or address == "local":
        return [Finding(NAME, "ok", "a local one is started when it is needed (RAY_ADDRESS names no cluster)")]
    if find_spec("ray") is None:
        return [Finding(NAME, "failed", "RAY_ADDRESS is set, Ray is not installed", "pip install 'drivetrain[train]'")]
    if error := _connect_error(address):
        advice = "start the cluster, mend RAY_ADDRESS, or unset it to train on a local Ray"
        return [Finding(NAME, "failed", f"nothing answers at {address} ({error})", advice)]
    return [_asked(address)]


def _asked(address: str) -> Finding:
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _QUESTION, address], capture_output=True, text=True, timeout=_ASK_S, check=False
        )
        answer = json.loads(asked.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        advice = "ray:// addresses need the client port (10001), others a node of the cluster on this machine"
        return Finding(
            NAME, "failed", f"{address} accepts connections, Ray there says nothing within {_ASK_S:g} s", advice
        )
    except (ValueError, IndexError):
        return Finding(NAME, "failed", f"Ray broke while it connected to {address}", "try: ray status")
    if error := answer.get("error"):
        return Finding(NAME, "failed", f"{address}: {_first_line(error)}", _advice(error))
    have = answer["resources"]
    detail = f"{answer['version']} at {address}, {have.get('CPU', 0):g} CPUs, {have.get('GPU', 0):g} GPUs"
    return Finding(NAME, "ok", detail)


def _connect_error(address: str) -> str:
    """Why no connection is taken; empty where one is, or where the address is of another form."""
    found = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    if found is None:
        return ""
    try:
        with socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=_CONNECT_S):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _advice(error: str) -> str:
    lowered = error.lower()
    if "version mismatch" in lowered or "different version" in lowered:
        return "install the cluster's versions of Ray and Python here, or use train --remote, which needs neither"
    if "token" in lowered or "auth" in lowered:
        return "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as on the cluster"
    return "try: ray status"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:300]

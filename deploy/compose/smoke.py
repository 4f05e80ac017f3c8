"""Does the stack do its work? Train digits-cnn through the training service, ask for predictions, look at MLflow.

`make smoke` runs it in the `cli` container: nothing but the stack is needed. Exit code 0 if all of it went well.
"""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from sklearn.datasets import load_digits

MODEL = "digits-cnn"
ASKED = 32
"""Rows that the prediction service is asked about, all in one request."""

MAY_MISS = 3
"""How many of them may be answered wrongly; the model is right about 99 of 100."""

SERVED_WITHIN_S = 60
"""How long a new champion may take until it is served."""


def say(text: str) -> None:
    """One line of the report."""
    print(f"smoke: {text}", flush=True)


def train() -> None:
    """Submit the recipe and watch it to its end; the command fails if the job does."""
    started = time.monotonic()
    address = os.environ["DRIVETRAIN_TRAINING_ADDRESS"]
    subprocess.run(["drivetrain", "train", MODEL, "--remote", address], check=True)
    say(f"{MODEL} trained through the training service in {time.monotonic() - started:.0f} s")


def predict() -> None:
    """Ask about digits whose truth is known; waits until the model is served."""
    digits = load_digits()
    rows = Path("/tmp/rows.json")
    rows.write_text(json.dumps(digits.data[:ASKED].tolist()), encoding="utf-8")
    command = ["drivetrain", "predict", MODEL, str(rows), "--output", "json"]
    deadline = time.monotonic() + SERVED_WITHIN_S
    while (asked := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        if time.monotonic() > deadline:
            sys.exit(f"smoke: {MODEL} was not served within {SERVED_WITHIN_S} s: {asked.stderr}")
        time.sleep(1)
    answered = [int(row["prediction"]) for row in json.loads(asked.stdout)["predictions"]]
    missed = sum(a != int(b) for a, b in zip(answered, digits.target[:ASKED], strict=True))
    if missed > MAY_MISS:
        sys.exit(f"smoke: {missed} of {ASKED} answers are wrong")
    say(f"the prediction service answered {ASKED} rows, {ASKED - missed} of them rightly")


def get(path: str, user: str = "") -> tuple[int, str]:
    """Status and text of a page of MLflow."""
    request = urllib.request.Request(os.environ["MLFLOW_TRACKING_URI"] + path)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def look_at_mlflow() -> None:
    """The UI's page comes with the password and not without; the model is registered."""
    user = f"{os.environ['MLFLOW_TRACKING_USERNAME']}:{os.environ['MLFLOW_TRACKING_PASSWORD']}"
    status, page = get("/", user)
    if status != 200 or "<title>MLflow</title>" not in page:
        sys.exit(f"smoke: MLflow's UI answered {status}")
    if get("/")[0] != 401:
        sys.exit("smoke: MLflow's UI opens without a password")
    status, text = get(f"/api/2.0/mlflow/registered-models/alias?name={MODEL}&alias=champion", user)
    if status != 200:
        sys.exit(f"smoke: MLflow knows no champion of {MODEL}: {status}")
    say(f"MLflow's UI answers; champion of {MODEL} is version {json.loads(text)['model_version']['version']}")


if __name__ == "__main__":
    train()
    predict()
    look_at_mlflow()
    say("all is well")

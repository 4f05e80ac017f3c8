#!/usr/bin/env bash
# Starts a stack of its own beside whatever runs, runs tests/e2e/compose against it, and removes it with its data.
# Arguments go to pytest; with KEEP=yes the stack stays, for a closer look or the next run.
set -euo pipefail
cd "$(dirname "$0")/../.."

export COMPOSE_PROJECT_NAME=drivetrain-test COMPOSE_ENV_FILES=/dev/null COMPOSE_PROFILES=''
export DRIVETRAIN_SECRETS=$PWD/build/compose/secrets
export DRIVETRAIN_BIND=127.0.0.1 PREDICTION_PORT=28001 TRAINING_PORT=28003 MLFLOW_PORT=25000

remove() { [ "${KEEP:-}" = yes ] || docker compose --profile '*' down --volumes --remove-orphans; }
trap remove EXIT
deploy/compose/up.sh
docker compose up --detach --wait prometheus
DRIVETRAIN_COMPOSE_TESTS=yes .venv/bin/python -m pytest "${@:-tests/e2e/compose}"

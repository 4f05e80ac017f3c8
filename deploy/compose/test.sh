#!/usr/bin/env bash
# Starts a stack of its own beside whatever runs, runs tests/e2e/compose against it, and removes it with its data.
# Arguments go to pytest; with KEEP=yes the stack stays, for a closer look or the next run.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=deploy/compose/isolated.sh
source deploy/compose/isolated.sh

remove() { [ "${KEEP:-}" = yes ] || docker compose --profile '*' down --volumes --remove-orphans; }
trap remove EXIT
deploy/compose/up.sh
docker compose up --detach --wait prometheus
DRIVETRAIN_COMPOSE_TESTS=yes .venv/bin/python -m pytest "${@:-tests/e2e/compose}"

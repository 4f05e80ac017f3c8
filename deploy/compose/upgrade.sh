#!/usr/bin/env bash
# Moves the stack to the version that is checked out: a backup, new images, MLflow's database schema, a restart.
# Migrations do not go back: the backup is the way back. A newer MLflow that just starts may migrate without one.
# shellcheck source=deploy/compose/common.sh
source "$(dirname "$0")/common.sh"

docker compose build --quiet
deploy/compose/backup.sh
docker compose stop training mlflow
docker compose run --rm -T mlflow-tool
exec deploy/compose/up.sh

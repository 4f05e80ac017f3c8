#!/usr/bin/env bash
# Moves the stack to the version that is checked out: a backup, new images, MLflow's database schema, a restart.
# Migrations do not go back: the backup is the way back. A newer MLflow that just starts may migrate without one.
# shellcheck source=deploy/compose/common.sh
source "$(dirname "$0")/common.sh"

file=${1:-backups/$project-$(date -u +%Y%m%d-%H%M%S).tar}
docker compose build --quiet
docker compose stop training # nothing new begins
trap 'say "error: the upgrade broke off. \`make up\` tries to go on with this version; the way back: check out the old one, make restore FILE=$file"' ERR
deploy/compose/backup.sh "$file"
docker compose stop mlflow
docker compose run --rm -T mlflow-tool
deploy/compose/up.sh

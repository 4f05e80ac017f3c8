#!/usr/bin/env bash
# Writes one file with everything that cannot be made again: MLflow's databases, artifacts, and the state of jobs.
# MLflow, through which all of it is written, is paused meanwhile: predictions go on, training waits for it.
# Artifacts in an S3 store are not part of it; that store has its own backups.
# shellcheck source=deploy/compose/common.sh
source "$(dirname "$0")/common.sh"

file=${1:-backups/$project-$(date -u +%Y%m%d-%H%M%S).tar}
[ ! -e "$file" ] || die "expected a new file, $file exists"
umask 077
mkdir -p "$(dirname "$file")"
work=$(mktemp -d "$file.XXXXXX")
finish() { docker compose unpause mlflow > /dev/null 2>&1 || true; rm -rf "$work"; }
trap finish EXIT

docker compose ps --status running --services | grep -qx mlflow || die "expected the stack to run; \`make up\` starts it"
say "pausing MLflow"
docker compose pause mlflow > /dev/null 2>&1
for database in mlflow mlflow_auth; do
  say "database $database"
  docker compose exec -T postgres pg_dump --username mlflow --format custom "$database" > "$work/$database.dump"
done
say "artifacts"
docker compose run --rm -T --no-deps archive --create --file - -C /volumes/artifacts . > "$work/artifacts.tar"
docker compose unpause mlflow > /dev/null 2>&1
say "state of jobs: checkpoints, uploaded data, journals"
# Files that jobs replace while they are read are not a fault: they are whole before and after.
docker compose run --rm -T --no-deps archive --create --warning=no-file-changed --warning=no-file-removed \
  --ignore-failed-read --exclude ./ray --file - -C /volumes/state . > "$work/state.tar" || [ $? -eq 1 ]
printf 'version %s\nrevision %s\ntime %s\n' "${DRIVETRAIN_VERSION:-0.1.0}" "$DRIVETRAIN_REVISION" "$(date -u +%FT%TZ)" > "$work/about"
(cd "$work" && sha256sum -- * > SHA256SUMS)
tar --create --file "$file.part" -C "$work" .
mv "$file.part" "$file"
say "written: $file ($(du -h "$file" | cut -f1)). It holds MLflow's users; keep it as you keep passwords."

#!/usr/bin/env bash
# Writes one file with everything that cannot be made again: MLflow's databases, artifacts, and the state of jobs.
# MLflow, through which all of it is written, is paused meanwhile: predictions go on, training waits for it.
# Artifacts in an S3 store are not part of it; that store has its own backups.
# shellcheck source=deploy/compose/common.sh
source "$(dirname "$0")/common.sh"

file=${1:-backups/$project-$(date -u +%Y%m%d-%H%M%S).tar}
[ ! -e "$file" ] || die "expected a new file, $file exists"
docker compose ps --status running --services | grep -qx mlflow || die "expected the stack to run; \`make up\` starts it"
umask 077
mkdir -p "$(dirname "$file")"
work=$(mktemp -d "$file.XXXXXX")
paused=
finish() {
  [ -z "$paused" ] || docker compose unpause mlflow > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

pack() { # VOLUME [OPTION ...]
  # Files that are replaced while they are read are no fault, and make tar return 1: they are whole before and after.
  # shellcheck disable=SC2016 # the container's shell expands it
  docker compose run --rm -T --no-deps --entrypoint sh archive -c 'tar "$@" || [ $? -eq 1 ]' tar \
    --create "${@:2}" --file - -C "/volumes/$1" . > "$work/$1.tar"
  tar --list --file "$work/$1.tar" > /dev/null
}

label() { docker inspect --format "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" "$(docker compose ps --quiet mlflow)"; }
# Of what runs, which may be older than what is checked out.
printf 'version %s\nrevision %s\ntime %s\n' "$(label version)" "$(label revision)" "$(date -u +%FT%TZ)" > "$work/about"

say "pausing MLflow"
docker compose pause mlflow > /dev/null 2>&1 || die "MLflow could not be paused; is another backup under way?"
paused=yes
for database in mlflow mlflow_auth; do
  say "database $database"
  docker compose exec -T postgres pg_dump --username mlflow --format custom "$database" > "$work/$database.dump"
  docker compose exec -T postgres pg_restore --list < "$work/$database.dump" > /dev/null
done
say "artifacts"
pack artifacts
docker compose unpause mlflow > /dev/null 2>&1
paused=
say "state of jobs: checkpoints, uploaded data, journals"
pack state --warning=no-file-changed --warning=no-file-removed --ignore-failed-read --exclude ./ray
(cd "$work" && sha256sum -- * > SHA256SUMS)
tar --create --file "$file.part" -C "$work" .
mv "$file.part" "$file"
say "written: $file ($(du -h "$file" | cut -f1)). It holds MLflow's users; keep it as you keep passwords."

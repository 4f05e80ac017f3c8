#!/usr/bin/env bash
# Puts back what `make backup` wrote, into an empty stack or in place of what is there, and starts the stack.
# A backup of an older version is brought up to this one's. The secrets of this stack stay: its passwords go on.
# shellcheck source=deploy/compose/common.sh
source "$(dirname "$0")/common.sh"

file=${1:?expected the backup: make restore FILE=backups/...}
[ -f "$file" ] || die "expected a backup, $file is not there"
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar --extract --file "$file" -C "$work" || die "$file is no backup of Drivetrain; nothing was changed"
(cd "$work" && sha256sum --check --status SHA256SUMS) || die "$file is damaged; nothing was changed"

if volume_exists database && [ "${CONFIRM:-}" != yes ]; then
  say "The stack \"$project\" has data. It is replaced by the backup's: $(tr '\n' ' ' < "$work/about")"
  read -r -p "Type the stack's name to go on: " answer || answer=
  [ "$answer" = "$project" ] || die "nothing was changed"
fi
deploy/compose/secrets.sh "$secrets"
docker compose build --quiet
docker compose --profile '*' stop mlflow training ray-head ray-worker ray-worker-gpu prediction > /dev/null
# A new container has the password's file as it is now; the database may know an older one.
docker compose up --detach --wait --force-recreate postgres
sql() { docker compose exec -T postgres psql --username mlflow --dbname postgres --quiet --set ON_ERROR_STOP=1; }
sql << 'SQL'
\set password `cat /run/secrets/postgres-password`
ALTER USER mlflow PASSWORD :'password';
SQL

# First beside what is there: a backup that does not fit this version has then changed nothing.
trap 'say "error: the backup could not be put back. Nothing was changed; \`make up\` starts the stack again"' ERR
for database in mlflow mlflow_auth; do
  say "database $database"
  sql <<< "DROP DATABASE IF EXISTS ${database}_restored WITH (FORCE)"
  sql <<< "CREATE DATABASE ${database}_restored"
  docker compose exec -T postgres pg_restore --username mlflow --dbname "${database}_restored" --exit-on-error \
    --no-owner < "$work/$database.dump"
done
say "bringing the databases up to this version"
docker compose run --rm -T -e MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2:///mlflow_restored mlflow-tool

trap 'say "error: the restore broke off half-way. The stack is stopped: mend what is named above and restore again"' ERR
for volume in artifacts state served; do # the copies of what was served are made again
  docker compose run --rm -T --no-deps --entrypoint find archive "/volumes/$volume" -mindepth 1 -delete
done
for volume in artifacts state; do
  say "$volume"
  docker compose run --rm -T --no-deps archive --extract --file - -C "/volumes/$volume" < "$work/$volume.tar"
done
for database in mlflow mlflow_auth; do
  sql <<< "DROP DATABASE IF EXISTS $database WITH (FORCE)"
  sql <<< "ALTER DATABASE ${database}_restored RENAME TO $database"
done
say "giving MLflow's administrator this stack's password"
docker compose run --rm -T mlflow-tool python /usr/local/bin/mlflow_admin.py
trap - ERR
deploy/compose/up.sh

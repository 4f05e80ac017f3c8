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
(cd "$work" && sha256sum --check --quiet SHA256SUMS) || die "$file is damaged; nothing was changed"

if volume_exists database && [ "${CONFIRM:-}" != yes ]; then
  say "The stack \"$project\" has data. It is replaced by the backup's: $(tr '\n' ' ' < "$work/about")"
  read -r -p "Type the stack's name to go on: " answer || answer=
  [ "$answer" = "$project" ] || die "nothing was changed"
fi
deploy/compose/secrets.sh "$secrets"
docker compose build --quiet
docker compose --profile '*' stop mlflow training ray-head ray-worker ray-worker-gpu prediction > /dev/null
docker compose up --detach --wait postgres

for database in mlflow mlflow_auth; do
  say "database $database"
  docker compose exec -T postgres dropdb --username mlflow --if-exists --force --maintenance-db postgres "$database"
  docker compose exec -T postgres createdb --username mlflow --maintenance-db postgres "$database"
  docker compose exec -T postgres pg_restore --username mlflow --dbname "$database" --exit-on-error --no-owner < "$work/$database.dump"
done
for volume in artifacts state served; do # the copies of what was served are made again
  docker compose run --rm -T --no-deps --entrypoint find archive "/volumes/$volume" -mindepth 1 -delete
done
for volume in artifacts state; do
  say "$volume"
  docker compose run --rm -T --no-deps archive --extract --file - -C "/volumes/$volume" < "$work/$volume.tar"
done
say "bringing the databases up to this version, and the passwords to this stack's"
docker compose run --rm -T mlflow-tool
docker compose run --rm -T mlflow-tool python /usr/local/bin/mlflow_admin.py
exec deploy/compose/up.sh

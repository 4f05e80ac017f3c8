#!/usr/bin/env bash
# Removes the stack with all its data: runs, models, artifacts, checkpoints, metrics. Asks first, unless CONFIRM=yes.
# The secrets and the backups stay.
# shellcheck source=deploy/compose/common.sh
source "$(dirname "$0")/common.sh"

if [ "${CONFIRM:-}" != yes ]; then
  say "This removes every run, model, artifact and checkpoint of the stack \"$project\". \`make backup\` keeps a copy."
  read -r -p "Type the stack's name to go on: " answer || answer=
  [ "$answer" = "$project" ] || die "nothing was removed"
fi
docker compose --profile '*' down --volumes --remove-orphans

#!/usr/bin/env bash
# Makes what secrets are missing, builds the images, starts the stack, waits until every part is healthy, says how to use it.
# Arguments go to `docker compose up`.
# shellcheck source=deploy/compose/common.sh
source "$(dirname "$0")/common.sh"

if volume_exists database && [ ! -s "$secrets/postgres-password" ]; then
  die "the database exists, but $secrets/postgres-password, which opens it, does not: bring the file back, or \`make purge\`"
fi
deploy/compose/secrets.sh "$secrets"
if grep -q DRIVETRAIN_PREDICTION_TLS_CERTIFICATE <<< "$settings" && [ ! -s "$secrets/tls/server.crt" ]; then
  die "expected $secrets/tls/ with server.crt, server.key and ca.crt: deploy/compose/certificates.sh server makes them"
fi
# What is mounted into containers, which read it as users of their own: a clone may have been made closed to others.
chmod -R a+rX deploy/prometheus deploy/grafana deploy/compose/create-auth-database.sql

say "building the images: minutes the first time, seconds later"
docker compose build --quiet
say "starting; each part is waited for"
if ! docker compose up --detach --wait --wait-timeout "${DRIVETRAIN_WAIT:-600}" "$@"; then
  for service in $(docker compose ps --all --format '{{.Service}} {{.State}} {{.Health}}' | awk '$2 != "running" || $3 != "healthy" { print $1 }' | sort -u); do
    say "--- $service: last lines of its log"
    docker compose logs --no-log-prefix --tail 25 "$service" >&2 || true
  done
  die "not every part became healthy; see above, and \`docker compose ps\`"
fi

prediction=$(address_of prediction 8001) rest=$(address_of prediction 8000) training=$(address_of training 8003) mlflow=$(address_of mlflow 5000)
umask 077
cat > "$secrets/client.env" << EOF
export DRIVETRAIN_TRAINING_ADDRESS=$training
export DRIVETRAIN_PREDICTION_ADDRESS=$prediction
export DRIVETRAIN_TOKEN_FILE=$(printf %q "$secrets/client-token")
export MLFLOW_TRACKING_URI=http://$mlflow
export MLFLOW_TRACKING_USERNAME=admin
export MLFLOW_TRACKING_PASSWORD=$(printf %q "$(cat "$secrets/mlflow-admin-password")")
EOF
if grep -q DRIVETRAIN_PREDICTION_TLS_CERTIFICATE <<< "$settings"; then
  name=$(sed -n '/^ *"DRIVETRAIN_TLS_NAME": "\(..*\)",*$/ { s//\1/p; q; }' <<< "$settings")
  printf 'export DRIVETRAIN_TLS_CA=%q\n' "$secrets/tls/ca.crt" >> "$secrets/client.env"
  [ -z "$name" ] || printf 'export DRIVETRAIN_TLS_NAME=%q\n' "$name" >> "$secrets/client.env"
fi
cat << EOF

Drivetrain is up.
  predictions  $prediction  (gRPC, Open Inference Protocol v2)
               $rest  (the same over HTTP)
  training     $training  (gRPC)
  MLflow       http://$mlflow  (user admin, password in $secrets/mlflow-admin-password)

To use it from this machine, with the \`drivetrain\` command:
  source $secrets/client.env
  drivetrain train digits-cnn --remote $training
  drivetrain jobs
Without installing anything:
  docker compose run --rm cli drivetrain jobs

\`make smoke\` trains a model on it and asks for predictions; \`make down\` stops it and keeps the data.
EOF

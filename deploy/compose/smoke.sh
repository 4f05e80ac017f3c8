#!/usr/bin/env bash
# Does the running stack do its work? Trains, predicts and looks at MLflow from inside, then tries the published ports.
# shellcheck source=deploy/compose/common.sh
source "$(dirname "$0")/common.sh"

docker compose run --rm -T cli python - < deploy/compose/smoke.py

for part in "prediction 8001" "prediction 8000" "training 8003" "mlflow 5000"; do
  # shellcheck disable=SC2086 # two words: the service and its port
  address=$(address_of $part)
  (exec 3<> "/dev/tcp/${address%:*}/${address##*:}") 2> /dev/null || die "expected ${part% *} at $address, nothing answers"
  say "smoke: ${part% *} is reachable at $address"
done

#!/bin/sh
# Puts secrets into the variables that programs read, then becomes the command: NAME_FILE=/run/secrets/x gives NAME.
# The names are listed, because other variables that end in _FILE are meant to name a file.
set -eu

for name in MLFLOW_TRACKING_PASSWORD MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY PGPASSWORD; do
  eval "file=\${${name}_FILE:-}"
  [ -n "$file" ] || continue
  [ -r "$file" ] || { echo "${name}_FILE: expected a readable file, came $file" >&2; exit 78; }
  eval "$name=\$(cat \"\$file\")"
  export "${name?}"
  unset "${name}_FILE"
done

# Compose passes on what .env leaves out as nothing, which boto3 takes for a wrong address.
[ -n "${MLFLOW_S3_ENDPOINT_URL:-}" ] || unset MLFLOW_S3_ENDPOINT_URL

exec "$@"

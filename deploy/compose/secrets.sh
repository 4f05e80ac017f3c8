#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml names, each a file of its own in FOLDER, and keeps those that are there.
# The folder is closed to other users; the files are readable, because containers read them as users of their own.
set -euo pipefail
folder=${1:?expected the folder}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

keep() { # NAME: the content comes on stdin, and is used if the file is missing
  [ -s "$folder/$1" ] && return
  cat > "$folder/$1.part" && chmod 444 "$folder/$1.part" && mv "$folder/$1.part" "$folder/$1"
}

for name in postgres-password mlflow-admin-password mlflow-session-key ray-token client-token grafana-admin-password; do
  keep "$name" < <(random)
done
client=$(cat "$folder/client-token")
keep prediction-tokens <<< "admin $client"
keep training-tokens <<< "submit $client"
keep s3-credentials << 'INI'
# Keys of the S3 store, where MLFLOW_ARTIFACTS_DESTINATION names one.
[default]
# aws_access_key_id =
# aws_secret_access_key =
INI

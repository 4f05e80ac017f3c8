#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml names, each a file of its own in FOLDER, and keeps those that are there.
# The folder is closed to other users; the files are readable, because containers read them as users of their own.
set -euo pipefail
folder=${1:?expected the folder}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

sha256() { # macOS has the other command
  if command -v sha256sum > /dev/null; then sha256sum; else shasum --algorithm 256; fi | cut -d ' ' -f 1
}

keep() { # NAME: the content comes on stdin, and is used if the file is missing
  [ -s "$folder/$1" ] && return
  cat > "$folder/$1.part" && chmod 444 "$folder/$1.part" && mv "$folder/$1.part" "$folder/$1"
}

for name in postgres-password mlflow-admin-password mlflow-session-key ray-token client-token grafana-admin-password; do
  keep "$name" < <(random)
done
# The services get the token's hash alone. Whoever adds a line writes to these files, and puts no others in their place:
# containers keep the file that they were started with.
client=$(printf %s "$(cat "$folder/client-token")" | sha256)
keep prediction-tokens <<< "admin sha256:$client"
keep training-tokens <<< "submit sha256:$client"
chmod 644 "$folder/prediction-tokens" "$folder/training-tokens"
keep s3-credentials << 'INI'
# Keys of the S3 store, where MLFLOW_ARTIFACTS_DESTINATION names one.
[default]
# aws_access_key_id =
# aws_secret_access_key =
INI

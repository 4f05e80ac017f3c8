# shellcheck shell=bash
# What the other scripts share: where the project is, its settings, and calls of Compose. Sourced, never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export DRIVETRAIN_REVISION=${DRIVETRAIN_REVISION:-$(git rev-parse HEAD 2> /dev/null || echo unknown)}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

docker compose version > /dev/null 2>&1 || die "expected Docker with Compose v2; \`docker compose version\` failed"
docker info > /dev/null 2>&1 || die "expected a running Docker engine; \`docker info\` says what is wrong"
engine=$(docker version --format '{{.Server.Version}}')
[[ ${engine%%.*} -ge 25 ]] || die "expected Docker Engine 25 or newer, whose health checks have a start interval; came $engine"

command -v sha256sum > /dev/null || sha256sum() { shasum --algorithm 256 "$@"; } # macOS

# Compose reads .env and the environment in its own order, so it is asked rather than imitated.
settings=$(docker compose --profile '*' config --format json)
project=$(sed -n 's/^  "name": "\(.*\)",*$/\1/p' <<< "$settings")
secrets=$(sed -n 's/^ *"file": "\(.*\)\/client-token",*$/\1/p' <<< "$settings")
export secrets

address_of() { docker compose port "$1" "$2" 2> /dev/null | sed 's/^0\.0\.0\.0:/localhost:/'; }

volume_exists() { docker volume inspect "${project}_$1" > /dev/null 2>&1; }

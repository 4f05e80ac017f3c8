#!/usr/bin/env bash
# Certificates for the stack, from an authority of its own, which the first call makes. Call it again to renew.
#   certificates.sh server [NAME...]   for both services: localhost, their names in the stack, and these DNS names
#   certificates.sh client NAME        for a client of services that ask for certificates; `RIGHT cn:NAME` is its right
# DAYS is how long they are good for, by default 365. The folder is that of the secrets.
set -euo pipefail
cd "$(dirname "$0")/../.."
usage="expected certificates.sh server [NAME...], or certificates.sh client NAME"
[[ ${1:-} = server || (${1:-} = client && $# = 2) ]] || { echo "error: $usage" >&2; exit 2; }
kind=$1
shift
secrets=${DRIVETRAIN_SECRETS:-deploy/secrets} days=${DAYS:-365}
umask 077
mkdir -p "$secrets/clients" "$secrets/tls"
chmod 700 "$secrets"
chmod 755 "$secrets/tls" # containers see this folder, and read it as users of their own

key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc)
ca=$secrets/tls/ca.crt ca_key=$secrets/authority.key # the authority's key stays outside of what containers see
if [ ! -s "$ca_key" ]; then
  openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=Drivetrain stack" -keyout "$ca_key" -out "$ca" 2> /dev/null
  chmod 444 "$ca"
fi

issue() { # STEM COMMON-NAME ALTERNATIVE-NAMES MODE
  openssl req -new "${key[@]}" -subj "/CN=$2" -keyout "$1.key.part" 2> /dev/null |
    openssl x509 -req -CA "$ca" -CAkey "$ca_key" -days "$days" -extfile <(echo "subjectAltName=$3") -out "$1.crt.part" 2> /dev/null
  chmod "$4" "$1.key.part" "$1.crt.part"
  mv -f "$1.key.part" "$1.key"
  mv -f "$1.crt.part" "$1.crt"
  echo "$1.crt and $1.key are good for $days days" >&2
}

if [ "$kind" = server ]; then
  issue "$secrets/tls/server" drivetrain "IP:127.0.0.1$(printf ',DNS:%s' localhost prediction training "$@")" 444
else
  issue "$secrets/clients/$1" "$1" "DNS:$1" 400
fi

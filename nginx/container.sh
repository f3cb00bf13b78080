#!/usr/bin/env bash
# What the container of Nginx runs (compose.yaml): Nginx before as many gateways as DNS knows by one name, asked again each
# second so that those that come and go are noticed. Needs Nginx 1.27.3 or later.
#   nginx/container.sh PORT FOLDER NAME:PORT RESOLVER
set -euo pipefail
folder=$2
ln -sf /dev/stdout "$folder/access.log"
ln -sf /dev/stderr "$folder/error.log"
"$(dirname "$0")/local.sh" "$1" "$folder" "$3 resolve" |
  sed "s#^  upstream polyglot {#  resolver $4 valid=1s;\\n&#" >"$folder/nginx.conf"
exec nginx -c "$folder/nginx.conf" -g 'daemon off;'

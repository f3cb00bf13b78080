#!/usr/bin/env bash
# Prints nginx.conf for a port, a folder and instances of one's own, so that it runs without root:
#   nginx/local.sh PORT FOLDER ADDRESS… > FOLDER/nginx.conf && nginx -c FOLDER/nginx.conf -g 'daemon off;'
set -euo pipefail
port=$1 folder=$2
shift 2
servers=''
for address in "$@"; do servers+="    server $address max_fails=2 fail_timeout=2s;\\n"; done
temporary=''
for kind in client_body proxy fastcgi uwsgi scgi; do temporary+="  ${kind}_temp_path $folder/$kind;\\n"; done
user=''
if [ "$(id -u)" = 0 ]; then user="user $(id -un) $(id -gn);\\n"; fi  # else it would give the folder up to nobody
sed -e "s#^worker_processes#$user&#" -e "s#listen 80;#listen $port;#" \
  -e "s#/run/nginx.pid#$folder/nginx.pid#" \
  -e "s#/var/log/nginx/#$folder/#" \
  -e "s#^http {#error_log $folder/error.log warn;\\n&\\n$temporary#" \
  -e "/server 127.0.0.1:4001/d; /server 127.0.0.1:4002/d" \
  -e "s#^ *server 127.0.0.1:4000.*#$servers#" "$(dirname "$0")/nginx.conf"

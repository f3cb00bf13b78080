#!/usr/bin/env bash
# Installs what is missing, builds, starts the gateway, checks every endpoint and follows the log. Ctrl-C stops all of it.
#   ./start.sh            PORT=4001 ./start.sh for another port
#   ./start.sh --check    ends after the check; the exit status says how it went
#   ./start.sh --instances 3    three instances on ports 4000 to 4002, Redis between them, and Nginx on port 8000 in front
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

check_only='' instances=1
while [ $# -gt 0 ]; do
  case $1 in
    --check) check_only=yes ;;
    --instances)
      instances=${2:-}
      [[ $instances =~ ^[1-9][0-9]?$ ]] || die "--instances needs a number from 1 to 99, such as: ./start.sh --instances 3"
      shift
      ;;
    *) die "unknown argument $1; usage: ./start.sh [--check] [--instances NUMBER]" ;;
  esac
  shift
done

if [ "$instances" = 1 ]; then install_packages start; else install_packages instances; fi
install_gateway

settings=$(.venv/bin/polyglot check-config --json)
setting() { .venv/bin/python -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]] or "")' "$settings" "$1"; }
[ "$(setting polyglot_env)" = dev ] || die "start.sh runs a development gateway; in production use: .venv/bin/polyglot serve"
bind=$(setting bind)
case $bind in unix:*) die "start.sh needs a port, and BIND is $bind; use: .venv/bin/polyglot serve" ;; esac
port=${bind##*:}
host=${bind%:*}
case $host in 127.0.0.1 | 0.0.0.0 | '[::]') host=localhost ;; esac
data=$(setting data_dir)
mkdir -p "$data"
listening() { local host=${1#[}; (exec 3<>"/dev/tcp/${host%]}/$2") 2>/dev/null; }
must_be_free() {
  if listening "$1" "$2"; then die "port $2 is taken; stop what listens there, or choose another: $3 ./start.sh"; fi
}
ports=()
for ((number = 0; number < instances; number++)); do
  ports+=($((port + number)))
  must_be_free "$host" $((port + number)) PORT=5000
done
if [ "$instances" = 1 ]; then
  url=http://$host:$port
else
  nginx_port=${NGINX_PORT:-8000}
  must_be_free 127.0.0.1 "$nginx_port" NGINX_PORT=8001
  url=http://localhost:$nginx_port
fi

started=()  # the processes of this script, and only they are stopped by it
stop() {
  trap - EXIT INT TERM
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if command -v redis-server >/dev/null && ! listening 127.0.0.1 6379; then
  say "Starting Redis on port 6379"
  redis-server --bind 127.0.0.1 --port 6379 --save '' --appendonly no >/dev/null &
  started+=($!)
fi
if [ "$instances" != 1 ] && [ -z "$(setting redis_host)$(setting redis_url)" ]; then
  export REDIS_URL=redis://127.0.0.1:6379
fi

start_instance() {  # PORT DATA_DIR LOG: starts one; its process is then in $gateway
  say "Starting the gateway on port $1"
  if [ "$instances" = 1 ]; then
    .venv/bin/polyglot serve >"$3" 2>&1 &
  else
    .venv/bin/polyglot serve --bind "${bind%:*}:$1" --data-dir "$2" >"$3" 2>&1 &
  fi
  gateway=$!
  started+=("$gateway")
}
wait_for() {  # URL LOG: until the gateway of $gateway is ready
  local deadline=$((SECONDS + 30))
  until grep -q '^polyglot: serving' "$2" && curl -sf --max-time 5 -o /dev/null "$1/ready"; do
    if ! kill -0 "$gateway" 2>/dev/null; then
      cat "$2" >&2
      exit 1
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      cat "$2" >&2
      die "the gateway was not ready at $1 within 30 seconds; its log is above"
    fi
    sleep 0.1
  done
}
logs=()
for each in "${ports[@]}"; do
  log=$data/gateway-$each.log
  logs+=("$log")
  start_instance "$each" "$data/instance-$each" "$log"
  wait_for "http://$host:$each" "$log"
done
if [ "$instances" != 1 ]; then
  say "Starting Nginx on port $nginx_port"
  folder=$(realpath "$data")/nginx
  mkdir -p "$folder"
  address=${bind%:*}
  case $address in 0.0.0.0) address=127.0.0.1 ;; '[::]') address='[::1]' ;; esac
  nginx/local.sh "$nginx_port" "$folder" "${ports[@]/#/$address:}" >"$folder/nginx.conf"
  nginx -c "$folder/nginx.conf" -g 'daemon off;' 2>>"$folder/error.log" &
  started+=($!)
  until listening 127.0.0.1 "$nginx_port"; do
    if ! kill -0 "${started[-1]}" 2>/dev/null; then
      cat "$folder/error.log" >&2
      exit 1
    fi
    sleep 0.1
  done
fi

say "Checking every endpoint"
.venv/bin/python scripts/smoke.py "$url"
if [ -n "$check_only" ]; then exit; fi

cat <<END

The gateway serves at $url
  $url/health          how it is             $url/metrics        for Prometheus
  $url/openapi.json    every route           $url/ready          may traffic come?

Try:
  curl -X POST $url/apps/demo-app/channels/room:test/publish \\
    -H "Content-Type: application/json" \\
    -H "X-API-Key: valid_key_demo-app" \\
    -d '{"type": "message", "data": {"text": "Hello"}}'

  curl $url/apps/demo-app/channels/room:test/history

  curl -N $url/apps/demo-app/channels/room:test/events

Ctrl-C stops it. Its log, also in ${logs[*]}:
END
tail -q -n +1 -f "${logs[@]}" &
started+=($!)
wait "$gateway"

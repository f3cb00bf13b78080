#!/usr/bin/env bash
# Installs what is missing, builds, starts the gateway, checks every endpoint and follows the log. Ctrl-C stops all of it.
#   ./start.sh            PORT=4001 ./start.sh for another port
#   ./start.sh --check    ends after the check; the exit status says how it went
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

check_only=''
case "${1:-}" in
  --check) check_only=yes ;;
  '') ;;
  *) die "unknown argument $1; usage: ./start.sh [--check]" ;;
esac

install_packages start
install_gateway

settings=$(.venv/bin/polyglot check-config --json)
setting() { .venv/bin/python -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$settings" "$1"; }
[ "$(setting polyglot_env)" = dev ] || die "start.sh runs a development gateway; in production use: .venv/bin/polyglot serve"
bind=$(setting bind)
case $bind in unix:*) die "start.sh needs a port, and BIND is $bind; use: .venv/bin/polyglot serve" ;; esac
port=${bind##*:}
host=${bind%:*}
case $host in 127.0.0.1 | 0.0.0.0 | '[::]') host=localhost ;; esac
url=http://$host:$port
log=$(setting data_dir)/gateway-$port.log
mkdir -p "$(dirname "$log")"
listening() { local host=${1#[}; (exec 3<>"/dev/tcp/${host%]}/$2") 2>/dev/null; }
if listening "$host" "$port"; then die "port $port is taken; stop what listens there, or choose another: PORT=4001 ./start.sh"; fi

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
  say "Starting Redis on port 6379 (nothing uses it yet)"
  redis-server --bind 127.0.0.1 --port 6379 --save '' --appendonly no >/dev/null &
  started+=($!)
fi

say "Starting the gateway on port $port"
.venv/bin/polyglot serve >"$log" 2>&1 &
gateway=$!
started+=("$gateway")
deadline=$((SECONDS + 30))
until grep -q '^polyglot: serving' "$log" && curl -sf --max-time 5 -o /dev/null "$url/ready"; do
  if ! kill -0 "$gateway" 2>/dev/null; then
    cat "$log" >&2
    exit 1
  fi
  if [ "$SECONDS" -ge "$deadline" ]; then
    cat "$log" >&2
    die "the gateway was not ready at $url within 30 seconds; its log is above"
  fi
  sleep 0.1
done

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

Ctrl-C stops it. Its log, also in $log:
END
tail -n +1 -f "$log" &
started+=($!)
wait "$gateway"

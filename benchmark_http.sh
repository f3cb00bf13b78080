#!/usr/bin/env bash
# Asks a running gateway for numbers, by HTTP: publishes, reads of a history, and /alive; 50 keep-alive connections each.
#   ./benchmark_http.sh                             http://127.0.0.1:4000, or POLYGLOT_URL
#   ./benchmark_http.sh http://127.0.0.1:4001       another gateway
#   APP=demo POLYGLOT_KEY=… DURATION=5              the app, its key, seconds for each number
# It publishes to a channel of its own. What the numbers are worth beside other systems: benchmarks/README.md, Peers.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

case "${1:-}" in -*) die "unknown argument $1; usage: ./benchmark_http.sh [URL]" ;; esac
url=${1:-${POLYGLOT_URL:-http://127.0.0.1:4000}}
url=${url%/}
app=${APP:-demo}
key=${POLYGLOT_KEY:-valid_key_$app}
duration=${DURATION:-5}
channel=$url/apps/$app/channels/benchmark:$$

for command in wrk curl python3; do
  lacks_command "$command" && die "this needs $command; on Debian: apt-get install $command"
done
curl -sf --max-time 5 -o /dev/null "$url/alive" || die "nothing answers at $url/alive; start a gateway: ./start.sh"

event=$(mktemp)
trap 'rm -f "$event"' EXIT
printf '{"type": "message", "data": {"text": "Hello, everybody in this room; the meeting begins at noon, today."}}' >"$event"
answer=$(curl -s --max-time 5 -X POST --data-binary "@$event" -H 'Content-Type: application/json' -H "X-API-Key: $key" \
  "$channel/publish")
case $answer in *'"offset"'*) ;; *) die "a publish was refused: $answer" ;; esac

# measure NAME URL METHOD BODY: one line.
measure() {
  local said
  said=$(wrk -t1 -c50 "-d${duration}s" -s benchmarks/peers/request.lua "$2" -- "$3" "$4" "X-API-Key: $key" \
    'Content-Type: application/json') || die "wrk: $said"
  printf '%s' "$said" | python3 -c '
import json, sys
found = json.loads(sys.stdin.read().rpartition("result ")[2])
rate, p50, p99 = found["requests"] / found["seconds"], found["p50"] / 1e3, found["p99"] / 1e3
wrong = "   %d ERRORS" % found["errors"] if found["errors"] else ""
print(f"{sys.argv[1]:<20} {rate:>9,.0f} per second   p50 {p50:.2f} ms   p99 {p99:.2f} ms{wrong}")
' "$1"
}
say "$url, 50 connections, $duration s each, by wrk on this machine"
measure publish "$channel/publish" POST "$event"
measure 'history, newest 100' "$channel/history?limit=100" GET -
measure alive "$url/alive" GET -

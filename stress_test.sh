#!/usr/bin/env bash
# Puts WebSocket subscribers on a running gateway, publishes to them, and checks that every event comes, once and in
# order: one at a time, in bursts, at a fixed rate, and at that rate while others publish as fast as they can.
#   ./stress_test.sh                             http://127.0.0.1:4000, or POLYGLOT_URL
#   ./stress_test.sh http://127.0.0.1:4001       another gateway
#   APP=demo POLYGLOT_KEY=… SUBSCRIBERS=100 RATE=1000 DURATION=5      the app, its key, the load, seconds for each part
# It uses channels of its own. The exit status says whether all was well.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

case "${1:-}" in -*) die "unknown argument $1; usage: ./stress_test.sh [URL]" ;; esac
url=${1:-${POLYGLOT_URL:-http://127.0.0.1:4000}}
url=${url%/}
app=${APP:-demo}
key=${POLYGLOT_KEY:-valid_key_$app}
subscribers=${SUBSCRIBERS:-100}
rate=${RATE:-1000}
duration=${DURATION:-5}
fanout=${TOOLS:-build/release/benchmarks/load}/fanout

for command in wrk curl python3; do
  lacks_command "$command" && die "this needs $command; on Debian: apt-get install $command"
done
[ -x "$fanout" ] || die "$fanout is missing; build it: cmake --preset release && cmake --build --preset release --target fanout"
[[ $url =~ ^http://(.+):([0-9]+)$ ]] || die "$url should be http://host:port; the tool speaks no TLS"
host=${BASH_REMATCH[1]}
host=${host#[}
host=${host%]}
port=${BASH_REMATCH[2]}
curl -sf --max-time 5 -o /dev/null "$url/alive" || die "nothing answers at $url/alive; start a gateway: ./start.sh"

flood=''
event=$(mktemp)
stop() {
  if [ -n "$flood" ]; then kill "$flood" 2>/dev/null || true; fi
  rm -f "$event"
}
trap stop EXIT
printf '{"type": "message", "data": {"text": "Hello, everybody in this room; the meeting begins at noon, today."}}' >"$event"

failed=''
# part NAME OPTIONS…: one line.
part() {
  local name=$1 said
  shift
  said=$("$fanout" --host "$host" --port "$port" --app "$app" --key "$key" --channel "stress:$$:${name// /_}" \
    --subscribers "$subscribers" --seconds "$duration" "$@") || failed=yes
  [ -n "$said" ] || die "the part '$name' could not be run"
  python3 -c '
import json, sys
name, found = sys.argv[1], json.loads(sys.argv[2])
publishes, deliveries = (found[what] / found["seconds"] for what in ("publishes", "deliveries"))
p50, p99 = (found["delivery_us"][which] / 1e3 for which in ("p50", "p99"))
wrong = "".join(f"   {found[what]} {what.upper()}" for what in ("lost", "out_of_order", "closed") if found[what])
wrong += "   " + found["close_reason"] if "close_reason" in found else ""
print(f"{name:<22} {publishes:>8,.0f} publishes/s {deliveries:>10,.0f} deliveries/s", end="")
print(f"   p50 {p50:.2f} ms   p99 {p99:.2f} ms{wrong}")
' "$name" "$said"
}

say "$url, $subscribers subscribers, $duration s each; latencies are those of deliveries"
part 'one at a time' --window 1
part 'bursts of 20' --window 20
part "$rate per second" --rate "$rate"
wrk -t1 -c50 "-d$((duration + 60))s" -s benchmarks/peers/request.lua "$url/apps/$app/channels/stress:$$:flood/publish" \
  -- POST "$event" "X-API-Key: $key" 'Content-Type: application/json' >/dev/null 2>&1 &
flood=$!
part "$rate beside a flood" --rate "$rate"
if [ -n "$failed" ]; then die "something was lost, came out of order or was cut off"; fi
say "Every event came, once and in order"

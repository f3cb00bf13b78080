"""A bare PUBLISH and SUBSCRIBE by redis-py: `pubsub.py PORT RATE SECONDS BYTES` prints the latencies as JSON.

As fanout does it with a server: one process publishes at a fixed rate and reads in between without sleeping, and a
latency counts from when a message was due.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import quantiles

import redis

PATIENCE = 2.0


def main() -> None:
    port, rate, seconds, size = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    publisher, subscriber = redis.Redis(port=port), redis.Redis(port=port).pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe("benchmark")
    while subscriber.get_message(timeout=1) is None and not subscriber.subscribed:
        continue
    total = int(rate * seconds)
    first = time.monotonic()
    latencies: list[float] = []
    sent = 0
    deadline = first + seconds + PATIENCE
    while len(latencies) < total and time.monotonic() < deadline:
        due = first + sent / rate
        if sent < total and time.monotonic() >= due:
            publisher.publish("benchmark", repr(due).ljust(size))
            sent += 1
        while message := subscriber.get_message(timeout=0):
            latencies.append(time.monotonic() - float(message["data"]))
    if len(latencies) < total:
        sys.exit(f"{total - len(latencies)} of {total} messages did not come")
    parts = quantiles([latency * 1e6 for latency in latencies], n=1000)
    print(json.dumps({"p50": parts[499], "p99": parts[989], "p99.9": parts[998]}))


if __name__ == "__main__":
    main()

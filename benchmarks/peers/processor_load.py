"""The gateway's client of a processor over gRPC, as fast as it can: `PORT SECONDS`; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from polyglot_gateway.processor.base import ACCEPT
from polyglot_gateway.processor.open import open_processor

from .load import PROCESSED, processed

THREADS = 8


def main() -> None:
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    processor = open_processor("grpc", ["http://127.0.0.1:1"], grpc_port=port)
    events, accepted = processed(PROCESSED), [ACCEPT] * PROCESSED
    begin = time.monotonic()

    def ask() -> int:
        asked = 0
        while time.monotonic() < begin + seconds:
            if processor.process(events) != accepted:
                raise RuntimeError("it did not accept all")
            asked += PROCESSED
        return asked

    with ThreadPoolExecutor(THREADS) as pool:
        asked = sum(each.result() for each in [pool.submit(ask) for _ in range(THREADS)])
    print(json.dumps({"events": asked, "seconds": time.monotonic() - begin}))
    processor.close()


if __name__ == "__main__":
    main()

import multiprocessing

import pytest
from prometheus_client.parser import text_string_to_metric_families

from polyglot_gateway.processor.base import ACCEPT, reject, replace
from polyglot_gateway.processor.meters import Meters
from polyglot_gateway.processor.problems import PROBLEMS


@pytest.fixture
def meters():
    return Meters()


def samples(meters):
    text, content_type = meters.exposition("")
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(text.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_calls_events_and_verdicts_are_counted(meters):
    meters.called("http", 3)
    meters.called("grpc", 1)
    meters.answered([ACCEPT, ACCEPT, replace(1)], 0.001)
    meters.answered([reject("no")], 100.0)
    found = samples(meters)
    assert found["polyglot_processor_calls_total", "http"] == 1
    assert found["polyglot_processor_calls_total", "grpc"] == 1
    assert found["polyglot_processor_events_total",] == 4
    assert [found["polyglot_processor_verdicts_total", kind] for kind in ("accept", "replace", "reject")] == [2, 1, 1]
    assert found["polyglot_processor_seconds_bucket", "0.0004"] == 0
    assert found["polyglot_processor_seconds_bucket", "0.0016"] == 1
    assert found["polyglot_processor_seconds_bucket", "+Inf"] == 2
    assert found["polyglot_processor_seconds_sum",] == 100.001


def test_failures_are_counted_by_every_code(meters):
    for code in PROBLEMS:
        meters.failed(code)
    assert {found[1]: value for found, value in samples(meters).items() if "failures" in found[0]} == dict.fromkeys(
        PROBLEMS, 1
    )


def test_all_processes_count_together(meters):
    process = multiprocessing.get_context("fork").Process(target=meters.called, args=("http", 3))
    process.start()
    process.join(20)
    meters.called("http", 4)
    assert samples(meters)["polyglot_processor_events_total",] == 7

"""What monitoring/ asks for is what a gateway with everything, and its processor, tell who scrapes them."""

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.monitoring import Asked, asked_in, expressions
from tests.processor_service import ProcessorService
from tests.redis_server import VOLATILE, RedisServer
from tests.serving import Gateway

Samples = list[tuple[str, dict[str, str]]]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", *VOLATILE)
    yield server
    server.close()


@pytest.fixture
def processor(tmp_path: Path) -> Iterator[ProcessorService]:
    service = ProcessorService(tmp_path, grpc_port=0)
    yield service.wait_until_ready()
    service.kill_everything()


def samples_in(scrape: http.client.HTTPResponse) -> Samples:
    assert scrape.status == 200
    families = text_string_to_metric_families(scrape.body.decode())
    return [(sample.name, sample.labels) for family in families for sample in family.samples]


def is_in(samples: Samples, asked: Asked) -> bool:
    found = [labels for name, labels in samples if name == asked.name]
    if not found or not all(asked.labels <= labels.keys() for labels in found):
        return False
    return all(any(labels[label] == value for labels in found) for label, value in asked.values)


def test_what_alerts_and_dashboard_ask_for_is_scraped(
    start: Callable[..., Gateway], redis: RedisServer, processor: ProcessorService
) -> None:
    settings = {"REDIS_URL": redis.url, "ON_ENGINE_DOWN": "spool", "PROCESSOR_URL": processor.url}
    gateway = start("--server", "native", **settings)
    stream = gateway.subscribe("room")
    gateway.publish("room", 1)
    assert stream.next()[1]["data"] == 1
    stream.close()
    scraped = samples_in(gateway.request("GET", "/metrics")) + samples_in(processor.request("GET", "/metrics"))
    wanted = [asked for expression in expressions() for asked in asked_in(expression)]
    assert len({asked.name for asked in wanted}) > 20
    assert [asked for asked in wanted if not is_in(scraped, asked)] == []

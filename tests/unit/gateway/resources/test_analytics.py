import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from falcon import testing

from polyglot_gateway.engine.embedded import EmbeddedEngine

PATH = "/apps/demo/analytics"


def publish(client: testing.TestClient, channel: str, *data: Any) -> None:
    for one in data:
        reply = client.simulate_post(f"/apps/demo/channels/{channel}/publish", json={"type": "t", "data": one})
        assert reply.status_code == 200


def test_a_channel_has_its_figures(client: testing.TestClient, engine: EmbeddedEngine) -> None:
    publish(client, "room:1", *({"price": price, "order": {"total": 5}} for price in (1, 2, 4.5)), {"price": "dear"})
    found = client.simulate_get(PATH, query_string="channel=room:1&field=/price&field=/order/total&window=60").json
    history = client.simulate_get("/apps/demo/channels/room:1/history").json
    assert (found["app_id"], found["channel"], found["epoch"]) == ("demo", "room:1", history["epoch"])
    assert (found["count"], found["first_offset"], found["last_offset"]) == (4, 1, 4)
    assert list(found["fields"]) == ["/price", "/order/total"]
    price = found["fields"]["/price"]
    assert (price["count"], price["min"], price["max"], price["mean"], price["p50"]) == (3, 1, 4.5, 2.5, 2)
    assert found["sizes"]["max"] == max(len(envelope) for _, envelope in engine.read("demo", "room:1", 0).events)
    assert found["rates"]["all"] == found["rates"]["60"] == 4 / 60
    assert found["buckets"] is None


def test_the_data_may_be_the_number(client: testing.TestClient) -> None:
    publish(client, "a", 1, 3)
    assert client.simulate_get(PATH, query_string="channel=a&field=").json["fields"][""]["mean"] == 2


def test_buckets_count_all_events(client: testing.TestClient) -> None:
    publish(client, "a", *range(20))
    buckets = client.simulate_get(PATH, query_string="channel=a&window=60&bucket=10").json["buckets"]
    assert buckets["seconds"] == 10
    assert len(buckets["counts"]) == 7
    assert sum(buckets["counts"]) == 20


def test_figures_are_of_the_window(client: testing.TestClient) -> None:
    publish(client, "a", 1)
    found = client.simulate_get(PATH, query_string="channel=a&window=5").json
    begin, end = (datetime.fromisoformat(found[name]) for name in ("begin", "end"))
    assert end - begin == timedelta(seconds=5)
    assert found["rates"]["all"] == found["rates"]["60"] == 1 / 5


def test_a_channel_that_never_was_has_none(client: testing.TestClient) -> None:
    found = client.simulate_get(PATH, query_string="channel=never&field=/a&bucket=1").json
    assert (found["count"], found["begin"], found["rates"]["all"], found["rates"]["10"]) == (0, None, None, 0)
    assert found["buckets"]["counts"] == [0]


def test_without_a_channel_there_is_a_page_of_them(client: testing.TestClient) -> None:
    for channel in ("c", "a", "b/1"):
        publish(client, channel, {"price": 1})
    first = client.simulate_get(PATH, query_string="limit=2&field=/price&window=60").json
    assert [figures["channel"] for figures in first["channels"]] == ["a", "b/1"]
    assert [figures["fields"]["/price"]["mean"] for figures in first["channels"]] == [1, 1]
    rest = client.simulate_get(PATH, query_string=f"limit=2&cursor={first['next']}").json
    assert ([figures["channel"] for figures in rest["channels"]], rest["next"]) == (["c"], None)
    one = client.simulate_get(PATH, query_string="channel=c").json
    assert {name: one[name] for name in ("count", "epoch", "sizes")} == {
        name: rest["channels"][0][name] for name in ("count", "epoch", "sizes")
    }


@pytest.mark.parametrize(
    "wrong",
    [
        "field=price",
        "field=/~",
        "field=/a&field=/a",
        "field=/" + "a" * 256,
        "&".join(f"field=/{number}" for number in range(17)),
        "window=0",
        "window=-1",
        "window=604801",
        "window=1.5",
        "window=1&window=1",
        "bucket=0",
        "bucket=86401",
        "bucket=",
    ],
)
@pytest.mark.parametrize("which", ["channel=a&", ""])
def test_a_wrong_parameter_is_refused(client: testing.TestClient, which: str, wrong: str) -> None:
    reply = client.simulate_get(PATH, query_string=which + wrong)
    assert (reply.status_code, reply.json["code"]) == (400, "invalid_parameter")
    assert wrong.partition("=")[0] in reply.json["error"]


@pytest.mark.parametrize("wrong", ["limit=0", "limit=101", "cursor=x", "channel=a&channel=a"])
def test_a_wrong_page_is_refused(client: testing.TestClient, wrong: str) -> None:
    assert client.simulate_get(PATH, query_string=wrong).json["code"] == "invalid_parameter"


@pytest.mark.parametrize("wrong", ["channel=", "channel=a%20b"])
def test_a_wrong_channel_is_refused(client: testing.TestClient, wrong: str) -> None:
    assert client.simulate_get(PATH, query_string=wrong).json["code"] == "invalid_channel"


def test_it_needs_the_scope_of_history(
    stranger: testing.TestClient, make_token: Callable[..., str], client: testing.TestClient
) -> None:
    publish(client, "public:a", 1)

    def status(query: str, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return stranger.simulate_get(PATH, query_string=query, headers=named).status_code

    assert status("") == status("channel=a") == 401
    assert status("channel=a", X_API_Key="writer-key") == 403
    rooms = f"Bearer {make_token(can={'room:*': ['history']})}"
    assert status("channel=room:1", Authorization=rooms) == 200
    assert status("channel=hall:1", Authorization=rooms) == status("", Authorization=rooms) == 403


def test_head_answers_without_a_body(client: testing.TestClient) -> None:
    reply = client.simulate_head(PATH, query_string="channel=a")
    assert (reply.status_code, reply.content) == (200, b"")


def test_a_worker_that_is_not_asked_loads_no_numpy() -> None:
    code = "import sys, polyglot_gateway.app; print('numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"

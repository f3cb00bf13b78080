import os
import socket
import threading
import time
from importlib.resources import files
from pathlib import Path

import pytest
from redis.exceptions import ResponseError
from tests.redis_server import VOLATILE, RedisServer
from tests.serving import free_port, wait_until

from polyglot_gateway.engine.redis_link import AT_ONCE, LIBRARY, OLDEST_REDIS, RedisLink, refused
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS, REST_SECONDS, pack
from polyglot_gateway.errors import EngineDown, EngineUnavailable


def begin(link: RedisLink) -> object:
    return link.ask("FCALL", f"{LIBRARY}_begin", 1, "stream", 7, 60_000)


def test_what_is_sent_together_is_answered_in_order(link: RedisLink) -> None:
    answers = link.send([("SET", "a", 1), ("INCR", "a"), ("LPUSH", "a", 1), ("GET", "a")])
    assert answers[1] == 2
    assert isinstance(answers[2], ResponseError)
    assert answers[3] == b"2"


def test_what_is_packed_is_sent_as_it_is(link: RedisLink) -> None:
    assert link.send_packed([]) == []
    answers = link.send_packed([
        ("a", pack("SET", "a", b"\xff")), ("b", pack("LPUSH", "a", 1)), ("a", pack("GET", "a")),
    ])  # fmt: skip
    assert (answers[0], answers[2]) == (b"OK", b"\xff")
    assert isinstance(answers[1], ResponseError)


def test_what_found_no_function_is_sent_again_with_it(link: RedisLink) -> None:
    begin = [(key, pack("FCALL", f"{LIBRARY}_begin", 1, key, 7, 60_000)) for key in ("a", "b")]
    answers = link.send_packed([begin[0], ("n", pack("INCR", "n")), begin[1], ("n", pack("GET", "n"))])
    assert answers == [b"OK", 1, b"OK", b"1"], "and nothing else is"


def test_nothing_is_done_behind_what_came_after_it(redis: RedisServer, link: RedisLink) -> None:
    """Another gateway may give Redis the functions while it does what was sent together."""
    begin = ("stream", pack("FCALL", f"{LIBRARY}_begin", 1, "stream", 7, 60_000))
    code = files("polyglot_gateway.engine").joinpath("redis_functions.lua").read_text()
    load = ("other", pack("FUNCTION", "LOAD", "REPLACE", code))
    late, _, done = link.send_packed([begin, load, begin])
    assert isinstance(refused(late), EngineDown)
    assert "only a part was done" in refused(late).message
    assert done == b"OK"
    redis.client.execute_command("FUNCTION", "FLUSH", "SYNC")
    assert link.send_packed([begin, load])[0] == b"OK"


def test_the_functions_are_given_to_a_redis_that_lacks_them(redis: RedisServer, link: RedisLink) -> None:
    for _ in range(2):
        assert begin(link) == b"OK"
        assert redis.client.delete("stream") == 1
        redis.client.execute_command("FUNCTION", "FLUSH", "SYNC")


def test_who_may_not_give_it_the_functions_is_told(redis: RedisServer, link: RedisLink) -> None:
    redis.client.execute_command("ACL", "SETUSER", "default", "-function")
    with pytest.raises(EngineUnavailable, match=r"Redis refuses: .*'function\|load'"):
        begin(link)
    redis.client.execute_command("ACL", "SETUSER", "default", "+function")
    assert begin(link) == b"OK"


def test_functions_of_other_versions_stay(redis: RedisServer, link: RedisLink) -> None:
    redis.client.function_load(
        "#!lua name=polyglot_0\nredis.register_function('polyglot_0_f', function() return 1 end)"
    )
    begin(link)
    assert redis.client.fcall("polyglot_0_f", 0) == 1


def test_a_redis_that_is_gone_is_said_at_once(redis: RedisServer, link: RedisLink) -> None:
    redis.kill()
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(EngineDown, match="Redis does not answer"):
            link.ask("PING")
        assert time.monotonic() - began < 1
    assert "Redis does not answer" in link.trouble()


def test_its_return_needs_no_restart(redis: RedisServer, link: RedisLink) -> None:
    begin(link)
    redis.kill()
    assert link.trouble()
    redis.start()
    deadline = time.monotonic() + 10 * REST_SECONDS
    while link.trouble():
        assert time.monotonic() < deadline
    assert begin(link) == b"OK"


def test_a_redis_that_hangs_costs_one_who_asks_its_time_and_the_others_none(
    redis: RedisServer, link: RedisLink
) -> None:
    link.ask("PING")
    with redis.paused():
        began = time.monotonic()
        with pytest.raises(EngineDown):
            link.ask("PING")
        assert ANSWER_SECONDS / 2 < time.monotonic() - began < 2 * ANSWER_SECONDS
        began = time.monotonic()
        with pytest.raises(EngineDown):
            link.ask("PING")
        assert time.monotonic() - began < REST_SECONDS


def test_nothing_is_sent_twice(link: RedisLink) -> None:
    """What was sent may have been done, although its answer did not come."""
    sent: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def swallow() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    while data := connection.recv(65536):
                        if b"APPEND" in data:
                            sent.append(data)
                            break
                        connection.sendall(b"+OK\r\n" * data.count(b"*"))

        thread = threading.Thread(target=swallow)
        thread.start()
        other = RedisLink(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(EngineDown):
            other.ask("APPEND", "a", "b")
        other.close()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert len(sent) == 1


def test_a_refusal_says_what_redis_said(redis: RedisServer, link: RedisLink) -> None:
    redis.client.config_set("maxmemory", 1)
    with pytest.raises(EngineUnavailable, match="maxmemory"):
        link.ask("SET", "a", 1)


def test_a_redis_that_loads_its_data_is_down(redis: RedisServer, link: RedisLink) -> None:
    begin(link)
    with redis.loading():
        wait_until(lambda: "is loading" in link.trouble(), "it to be said")
        with pytest.raises(EngineDown):
            begin(link)
    wait_until(lambda: link.trouble() == "", "it to be found well")
    assert begin(link) == b"OK"


def test_a_master_that_became_a_replica_is_down(redis: RedisServer, link: RedisLink) -> None:
    begin(link)
    redis.follow(free_port())
    with pytest.raises(EngineDown, match="is a replica"):
        begin(link)
    wait_until(lambda: "is a replica" in link.trouble(), "it to be said")
    redis.lead()
    wait_until(lambda: link.trouble() == "", "it to be found well")
    assert begin(link) == b"OK"


@pytest.mark.parametrize("asked", ["by whoever sends", "by whoever asks whether it can be used"])
def test_who_took_the_place_of_a_replica_is_found(
    redis: RedisServer, link: RedisLink, tmp_path: Path, asked: str
) -> None:
    """A takeover that somebody asks for cuts no connection, and those to the old master live on."""
    begin(link)
    redis.follow(free_port())
    new = RedisServer(tmp_path / "new", *VOLATILE)
    os.replace(new.url.removeprefix("unix://"), redis.url.removeprefix("unix://"))
    if asked == "by whoever sends":
        with pytest.raises(EngineDown, match="is a replica"):
            begin(link)
    wait_until(lambda: link.trouble() == "", "the new one to be found")
    assert begin(link) == b"OK"
    assert new.client.exists("stream")
    new.close()


def test_a_wrong_password_is_said(redis: RedisServer, link: RedisLink) -> None:
    redis.client.config_set("requirepass", "secret")
    assert "uthentication" in link.trouble()
    redis.client.execute_command("AUTH", "secret")


def test_more_may_wait_for_a_turn_than_there_are_connections(redis: RedisServer, link: RedisLink) -> None:
    outcomes: list[object] = []

    def ask() -> None:
        try:
            with link.turns:
                outcomes.append(link.ask("PING"))
        except EngineUnavailable as error:
            outcomes.append(type(error))

    def ask_at_once() -> None:
        threads = [threading.Thread(target=ask) for _ in range(5 * AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    ask_at_once()
    assert outcomes == [b"PONG"] * 5 * AT_ONCE
    outcomes.clear()
    with redis.paused():
        began = time.monotonic()
        ask_at_once()
        assert outcomes == [EngineDown] * 5 * AT_ONCE
        assert time.monotonic() - began < 2 * ANSWER_SECONDS, "they do not all wait for an answer"


def test_a_redis_that_drops_keys_says_so(redis: RedisServer, link: RedisLink) -> None:
    assert link.forgets() == ""
    redis.client.config_set("maxmemory-policy", "allkeys-lru")
    assert link.forgets() == "", "without a limit it drops none"
    redis.client.config_set("maxmemory", 1 << 30)
    assert link.forgets() == "allkeys-lru"


def test_the_version_is_known(link: RedisLink) -> None:
    assert link.version() >= OLDEST_REDIS


def test_a_closed_link_says_so(link: RedisLink) -> None:
    link.close()
    link.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        link.ask("PING")


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "", "sentinel://a:1", "sentinel://a/m"])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"scheme|host:port"):
        RedisLink(url)


def test_the_functions_name_their_library() -> None:
    code = files("polyglot_gateway.engine").joinpath("redis_functions.lua").read_text()
    assert code.startswith(f"#!lua name={LIBRARY}\n")
    assert code.count(f"'{LIBRARY}_") == 5

"""The event core in C++ (cpp/core), bound by cpp/bindings. Raises the classes of `polyglot_gateway.errors`."""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

from polyglot_gateway.engine.base import Ack, ChannelInfo, Columns, Page
from polyglot_gateway.processor.base import Event, Verdict
from polyglot_gateway.processor.wire import Answer

__version__: str

class CodeInfo(NamedTuple):
    """What the outside sees of an error code (core/status.hpp)."""

    name: str
    http_status: int
    title: str
    mend: str
    retry_after: int

CODES: dict[str, CodeInfo]
"""Every error code by its name."""

def problem_json(code: str, message: str, position: int | None = None, request_id: str = "") -> bytes:
    """The RFC 9457 body of an error. KeyError for a code that is not in CODES."""

def check_app(app: str) -> None:
    """Raise InvalidApp unless `app` is an app id."""

def check_channel(channel: str) -> None:
    """Raise InvalidChannel unless `channel` is a channel name."""

def check_pattern(pattern: str) -> None:
    """Raise InvalidParameter unless `pattern` is a channel pattern."""

def check_json(body: bytes) -> None:
    """Raise InvalidJson unless `body` is strict JSON."""

@final
class Access:
    """Which API key may do what in which app (core/access.hpp). Fill it, then hand it to Gateway.configure."""

    def __init__(self, development: bool = False) -> None: ...
    def add_app(self, app: str) -> None: ...
    def add_key(self, app: str, sha256: str, scopes: Sequence[str], expires_at: int = 0) -> None:
        """Add a key; InvalidParameter unless both are well formed.

        `sha256`: 64 hex digits. `scopes`: of "publish", "history", "subscribe", "admin", "presence". `expires_at`:
        seconds since 1970, the first at which it no longer holds; 0: it always holds.
        """

@final
class Server:
    """The native server: one C++ thread beside Python (server/server.hpp).

    What it does not answer itself is a job: ("request", id, WSGI environment), ("question", id, what is asked),
    ("follow", id, (app, channel, since, epoch)) when the history has to be brought up to the engine's, which `decide`
    or `deny` answers, ("unfollow", 0, (app, channel)) when that need not go on,
    ("room", id, None) when more of a reply can be sent, ("gone", id, None) when nobody waits for it any more,
    ("log", 0, (event, reason)), and ("presence", 0, message).
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        max_batch_bytes: int = 1_048_576,
        cors_origins: Sequence[str] = (),
        trusted_proxies: Sequence[str] = (),
        max_connections: int = 100_000,
        asks_python: bool = False,
        engine_elsewhere: bool = False,
        processes: bool = False,
        most_processed: int = 20,
        local_pages: bool = False,
    ) -> None:
        """`asks_python`: each connect, join, event stream and list of members is a question, not only those with a
        token, and every other request that needs a credential goes to the application.

        `cors_origins`: of pages that may read answers and open sockets; pages of the gateway's own host may open
        sockets anyway, and with `local_pages` those of this machine.

        `engine_elsewhere`: what is published is for `take_appends`, `gateway` holds a copy of what is followed, and
        what workers tell each other of presence is a job, to be given to `hear_presence` of all of them, in one order.

        `processes`: what is published is for `take_processing` first, where the channel's rule says so, at most
        `most_processed` calls at a time.
        """

    def start(self, sockets: Sequence[int], heartbeat: int = -1) -> None:
        """Serve on copies of these listening sockets, and touch the file `heartbeat` once a second. OSError."""

    def beat(self) -> None:
        """Say that Python lives; without that for two minutes the file is not touched any more."""

    def drain(self, seconds: float) -> None:
        """Take no more connections and ask the clients to go, the subscribers among them spread over `seconds`."""

    def drained(self) -> bool:
        """Whether a drain is complete: nobody is connected."""

    def hear_presence(self, messages: Sequence[bytes]) -> None:
        """Take messages of presence, those of this server among them. Some may be missing."""

    def stop(self) -> None:
        """End the thread and cut off who is still connected. Idempotent."""

    def fileno(self) -> int:
        """Readable when there are jobs."""

    def appends_fileno(self) -> int:
        """Readable when there may be something for `take_appends`."""

    def take_appends(self, layout: RedisLayout) -> AppendCalls | None:
        """Everything that waits to be appended; None when nothing does."""

    def processing_fileno(self) -> int:
        """Readable when there may be something for `take_processing`."""

    def take_processing(self) -> ProcessCall | None:
        """Events that are to be processed now; None when there are none."""

    def lend_process_wire(
        self, connections: Sequence[tuple[int, str, str, str, int, int]], answer_seconds: float
    ) -> None:
        """Let the server's thread ask a processor by these connections, each time the way with the fewest calls.

        Of each: its descriptor, over which nobody else says anything; of its calls the path, the authority and the
        authorization, which may be empty; and `way` and `admission` of an `Answer`. What does not end well is left to
        `take_processing`. RuntimeError when there are no descriptors left.
        """

    def has_process_wire(self) -> bool:
        """Whether the thread has such connections; it loses all of them when one breaks, or an answer is none."""

    def revoke_process_wire(self) -> None:
        """Have what comes now left to `take_processing`, and the connections let go after their answers. Idempotent."""

    def lend_append_wire(self, fd: int, layout: RedisLayout, answer_seconds: float) -> None:
        """Let the server's thread append by this connection to Redis, over which nobody else says anything meanwhile.

        What does not go as it should, or is of a channel that is not `listed`, is left to `take_appends`. RuntimeError
        when there are no descriptors left.
        """

    def has_append_wire(self) -> bool:
        """Whether the thread has such a connection; it loses it when it breaks, or says nothing for too long."""

    def revoke_append_wire(self) -> None:
        """Have all that was not sent yet left to `take_appends`, and the connection let go. Idempotent."""

    def listed(self, app: str, channel: str, seconds: float) -> None:
        """The channel is in its app's list for so long."""

    def listen(self, fd: int) -> News:
        """Take over into the history what Redis tells over this connection, which nobody else reads from now on.

        RuntimeError when there are no descriptors left.
        """

    def requests(self) -> int:
        """Requests begun since the start."""

    def connections(self) -> int:
        """Connections that are open now."""

    def take(self, environ: dict[str, object]) -> list[tuple[str, int, Any]]:
        """Return the jobs that wait; `environ` is what every WSGI environment has."""

    def respond(self, id: int, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer a request, whole. ValueError for a status or header that HTTP does not allow."""

    def begin(self, id: int, status: str, headers: list[tuple[str, str]]) -> None:
        """Begin the answer to a request, whose body comes in parts. ValueError as `respond`."""

    def send(self, id: int, body: bytes) -> None:
        """Send the next part; wait for the job "room" or "gone" before the one after it."""

    def end(self, id: int) -> None:
        """End the answer."""

    def abort(self, id: int) -> None:
        """Break the answer off, so that the client sees that it is not whole."""

    def decide(self, id: int, grant: Grant | None) -> None:
        """Answer a question: yes, and what the grant says; None: what the API key or an earlier grant says."""

    def deny(self, id: int, code: str, message: str) -> None:
        """Answer a question: no. KeyError for a code that is not in CODES."""

@final
class News:
    """What came over a connection of Redis's and was not taken over into the history (server/news.hpp).

    Thread safe.
    """

    def fileno(self) -> int:
        """Readable when there is something to take."""

    def take(self) -> tuple[bytes, bool]:
        """Whole answers and messages, as they came, and whether the connection has ended behind them."""

    def end(self) -> None:
        """Let go of the connection. Idempotent."""

@final
class Grant:
    """What the bearer of a token may do (core/grant.hpp). Fill it, then only read it."""

    def __init__(self, app: str, user_id: str = "", expires_at: int = 0) -> None:
        """`expires_at`: seconds since 1970, the first at which it no longer holds; 0: it always holds."""

    def allow(self, pattern: str, scopes: Sequence[str]) -> None:
        """Add `scopes` in the channels that match. InvalidParameter for a bad pattern or scope.

        "admin" may be listed, but is never given.
        """

    def check(self, app: str, channel: str, scope: str, now: int | None = None) -> None:
        """Raise TokenExpired or Forbidden unless the bearer may do `scope` there; InvalidParameter for a bad scope.

        `channel` is "" for what concerns the whole app, which needs the pattern `*`. `now` is in seconds since 1970, by
        default the system's time.
        """

    @property
    def app(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def expires_at(self) -> int: ...

@final
class ChannelRule:
    """The rule of the channels that match one pattern (core/rules.hpp)."""

    def __init__(
        self,
        *,
        history_size: int = 1000,
        history_ttl: float = 0.0,
        max_event_bytes: int = 65536,
        public_read: bool = False,
        client_publish: bool = False,
        presence: bool = False,
        conflate: bool = False,
        processor: bool = True,
        bypass_processor: bool = False,
    ) -> None:
        """`history_ttl` in seconds, 0 for no limit; `max_event_bytes` is the size of a publish body."""

    @property
    def history_size(self) -> int: ...
    @property
    def history_ttl(self) -> float: ...
    @property
    def max_event_bytes(self) -> int: ...
    @property
    def public_read(self) -> bool: ...
    @property
    def client_publish(self) -> bool: ...
    @property
    def presence(self) -> bool: ...
    @property
    def conflate(self) -> bool: ...
    @property
    def processor(self) -> bool: ...
    @property
    def bypass_processor(self) -> bool: ...

@final
class Rules:
    """Channel rules by app and pattern (core/rules.hpp); the first pattern that matches decides."""

    def __init__(self, by_default: ChannelRule) -> None: ...
    def add(self, app: str, pattern: str, rule: ChannelRule) -> None:
        """`app` "*" serves the apps without rules of their own. InvalidParameter for a bad pattern."""

    def find(self, app: str, channel: str) -> ChannelRule:
        """The rule that holds for the channel."""

@final
class Limits:
    """How much each app may publish and have open (core/limits.hpp). Fill it, then hand it to Gateway.configure."""

    def __init__(self) -> None: ...
    def add(
        self,
        app: str,
        *,
        events_per_second: int = 0,
        events_burst: int = 0,
        bytes_per_second: int = 0,
        bytes_burst: int = 0,
        connections: int = 0,
        subscriptions: int = 0,
        channels: int = 0,
    ) -> None:
        """`app` "*" serves the apps without limits of their own. 0: no limit; of a burst: one second's worth.

        InvalidParameter for more than a billion per second, or a burst of more than a day's worth.
        """

@final
class Hold:
    """Something that is open and counts for its app, until it is released or let go of. For one thread."""

    def release(self) -> None:
        """It is closed. Idempotent."""

@final
class Feed:
    """Follows what is appended to the segment, by any process, in the channels that are watched (core/feed.hpp).

    Begins by watching none. Thread safe.
    """

    def fileno(self) -> int:
        """Readable when there may be something to poll. Wait on it for a second at most, then poll all the same."""

    def watch(self, app: str, channel: str) -> None:
        """Each call needs an unwatch of its own. Whoever calls this and then reads misses nothing.

        Of a channel that shares one of 8192 bits with a watched one there is news, too.
        """

    def unwatch(self, app: str, channel: str) -> None: ...
    def poll(self) -> tuple[list[tuple[str, str]], bool]:
        """The (app, channel) pairs appended to since the last poll, each once, and whether the feed was overrun.

        After an overrun the list is incomplete: every channel may have changed. An empty list means nothing is left and
        the descriptor will become readable again.
        """

@final
class Submission:
    """What one request publishes, checked and serialised, and what became of each of its events. For one thread.

    A processor may see the events (`ProcessCall`), an engine appends them (`AppendCalls`, `Gateway.append`), and then
    the answer is made, which counts it all.
    """

    def __len__(self) -> int:
        """Events that are to be appended; those that were refused are not."""

    def ack(self) -> Ack:
        """The answer to `prepare`. Raises what the event was refused with."""

    def results(self) -> bytes:
        """The answer to `prepare_batch` and `prepare_broadcast`: `{"results":[…]}`."""

    def refusals(self) -> list[tuple[int, str, str]]:
        """Of each event that the engine refused: its place, the code and the message."""

@final
class RedisLayout:
    """How an engine in Redis keeps its events (core/append_calls.hpp)."""

    @property
    def history_size(self) -> int:
        """Most events kept of a channel."""

    def __init__(self, *, prefix: str, function: str, history_size: int, keep_ms: int) -> None:
        """`function` is the name of `append`; a channel is kept `keep_ms` after its last event, or as its rule says."""

    def lifetime_ms(self, gateway: Gateway, app: str, channel: str) -> int:
        """How long the channel is kept after its last event."""

def replica_events(replica: bytes) -> list[tuple[int, bytes]]:
    """The offset and the envelope of each event of a replica (core/replica.hpp). ValueError when it is none."""

def check_columns(fields: Sequence[str], window: float = 0.0) -> None:
    """Raise InvalidParameter unless `Engine.columns` takes these."""

def replica_columns(
    app: str,
    channel: str,
    fields: Sequence[str],
    replicas: Sequence[bytes],
    *,
    overwritten: bool,
    not_before: int,
    read_at: int,
) -> Columns:
    """The events of replicas, each of which goes on where the one before ends (core/columns.hpp).

    `overwritten`: there were more before them. `not_before`: earlier events were not asked for; 0: all were. Both times
    in µs since 1970. ValueError when one is no replica; InvalidParameter as `check_columns`.
    """

@final
class ProcessCall:
    """The events of submissions that a processor sees before they are kept (core/process_call.hpp). For one thread.

    It is judged once, or fails, which is also what becomes of a call that is let go. After that it has nothing more to
    say: ValueError.
    """

    def __init__(self, gateway: Gateway, submissions: list[Submission]) -> None:
        """The list must not change from now on."""

    @property
    def answer(self) -> Answer | None:
        """What came of it when the server's thread asked by itself; None of a call that was not sent."""

    def events(self) -> list[Event]:
        """Those of channels whose rule wants them processed, as they were sent."""

    def judge(self, verdicts: list[Verdict]) -> None:
        """Take one verdict for each event. ValueError, TypeError: for what are none; then it can still fail."""

    def fail(self, code: str, message: str) -> None:
        """There are no verdicts: refuse the events, but for those whose rule lets them bypass the processor."""

def write_events(events: Sequence[Event]) -> bytes:
    """The message Events of proto/processor.proto (core/process_messages.hpp)."""

def read_verdicts(message: bytes) -> tuple[list[str], list[Verdict]]:
    """Read a message Verdicts of proto/processor.proto: the ids of events, and the verdicts on them.

    Raises ValueError for what is no such message, or has a verdict of no known kind.
    """

@final
class AppendCalls:
    """What submissions append, as calls of Redis's function `append`. For one thread.

    Each call is settled or refused, and in the end all of them are finished, or all have failed, which is also what
    becomes of calls that are let go.
    """

    def __init__(self, gateway: Gateway, layout: RedisLayout, submissions: list[Submission]) -> None:
        """The list must not change from now on."""

    def __len__(self) -> int:
        """Events in all calls."""

    def traceparents(self) -> list[str]:
        """Of the requests that have one, as they were sent."""

    def commands(self) -> list[tuple[str, bytes]]:
        """The key and the packed command of each call."""

    def channels(self) -> list[tuple[str, str]]:
        """The app and the channel of each call; several calls may have the same."""

    def sent(self) -> tuple[bytes, str] | None:
        """When they were sent already: the answers that came, and why no more will come, "" when all are there."""

    def settle(self, call: int, answer: list[bytes | int]) -> None:
        """Take what Redis answered to the call. ValueError for what `append` does not answer."""

    def refuse(self, call: int, code: str, message: str) -> None:
        """Redis took none of the call's events."""

    def events(self, call: int) -> list[tuple[bytes, int, bytes, int, bytes]]:
        """Of each event of the call: id, time, idempotency key (b"": none), hash of the event, envelope."""

    def spooled(self, call: int, event: int) -> None:
        """The event waits on this host."""

    def repeated(self, call: int, event: int, id: bytes, time: int, event_hash: int) -> None:
        """Another event waits on this host under its key; it is this one again, or a mismatch."""

    def refuse_event(self, call: int, event: int, code: str, message: str) -> None:
        """Nobody took the event."""

    def finish(self) -> None:
        """Every call is settled or refused: answer whoever waits for it."""

    def fail(self, code: str, message: str) -> None:
        """What became of the events is not known."""

class Gateway:
    """The use cases of the gateway over one data folder (core/gateway.hpp). Thread safe; not usable across a fork."""

    def __init__(
        self,
        data_dir: str,
        *,
        history_size: int = 1000,
        history_bytes: int = 134217728,
        max_channels: int = 10000,
        idempotency_keys: int = 65536,
        durability: str = "process",
    ) -> None:
        """Open or create `data_dir`/history.pgs; raises a StorageError. `durability`: process, interval or sync."""

    @staticmethod
    def inspect(
        data_dir: str, *, history_size: int, history_bytes: int, max_channels: int, idempotency_keys: int
    ) -> list[str]:
        """What opening `data_dir`/history.pgs would repair or set aside, in a sentence each; nothing is changed.

        Raises the StorageError that opening would; there has to be a file.
        """

    def configure(self, access: Access, rules: Rules, limits: Limits | None = None) -> None:
        """Replace the access table, the channel rules and the limits, at once for all that comes after."""

    def rate_limit(self, app: str) -> tuple[str, str] | None:
        """What RateLimit-Policy and RateLimit say of the app after a publish; None where no rate is limited."""

    def hold(self, app: str, quota: str) -> Hold:
        """Count one more of "connections" or "subscriptions". RateLimited: the app has as many as it may."""

    def limits(self, app: str) -> bytes:
        """The app's limits and what is used of them, as JSON. InvalidApp."""

    def authorize(self, app: str, channel: str, key: str | bytes, scope: str) -> None:
        """Raise InvalidApp, InvalidChannel, Unauthorized or Forbidden unless `key` may do `scope` there.

        `channel` is "" for what concerns the whole app. "history" and "subscribe" need no key on public_read channels,
        nor, in development, for the whole app.
        """

    def rule(self, app: str, channel: str) -> ChannelRule: ...
    def max_event_bytes(self, app: str, channel: str) -> int:
        """Largest publish body that the channel's rule allows."""

    def append(self, submission: Submission) -> None:
        """Append its events here; what became of each is written into it. StorageError when the disk refuses."""

    def publish(
        self,
        app: str,
        channel: str,
        body: bytes,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> Ack: ...
    def publish_batch(
        self,
        app: str,
        body: bytes,
        ndjson: bool = False,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> bytes: ...
    def broadcast(
        self,
        app: str,
        body: bytes,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> bytes: ...
    def prepare(
        self,
        app: str,
        channel: str,
        body: bytes,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> Submission:
        """As publish, up to where the event would be appended here."""

    def prepare_batch(
        self,
        app: str,
        body: bytes,
        ndjson: bool = False,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> Submission: ...
    def prepare_broadcast(
        self,
        app: str,
        body: bytes,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> Submission: ...
    def restore(self, events: list[tuple[str, str, bytes, int, bytes, int, bytes]]) -> Submission:
        """Events to be appended as they are: app, channel, id, time, idempotency key, hash of the event, envelope.

        Id and key have 16 bytes.
        """

    def history(
        self,
        app: str,
        channel: str,
        limit: int = 100,
        since: int | None = None,
        until: int | None = None,
        reverse: bool = False,
        epoch: str = "",
    ) -> bytes: ...
    def read(self, app: str, channel: str, since: int | None = None, epoch: str = "", limit: int = 100) -> Page: ...
    def columns(self, app: str, channel: str, fields: Sequence[str] = ..., window: float = 0.0) -> Columns:
        """What is kept here, as `Engine.columns` has it; other threads run meanwhile."""

    def holds(self, app: str, channel: str) -> bool:
        """Whether anything of the channel is here, were it only where it stands."""

    def replicated(self, app: str, channel: str) -> ChannelInfo:
        """Where the channel stands here, whatever its rule shows."""

    def replicate(self, app: str, channel: str, replica: bytes) -> bool:
        """Take over what is new of events that another engine keeps (core/replica.hpp).

        False, and nothing is done, when they do not follow what is here. InvalidParameter when it is no replica.
        """

    def replace(self, app: str, channel: str, seen: str, replicas: list[bytes]) -> bool:
        """Make the channel what these say, one behind the other, if it still is in the epoch `seen`.

        What was taken over of that epoch meanwhile stays. False, and nothing is done, when that does not follow.
        """

    def forget(self, app: str, channel: str) -> str: ...
    def channel(self, app: str, channel: str) -> ChannelInfo: ...
    def channels(self, app: str, after: str = "", limit: int = 100) -> list[ChannelInfo]: ...
    def follow(self) -> Feed:
        """A feed that starts now. At most one at a time per Gateway (StorageBusy otherwise)."""

    def count_refused(self, code: str) -> None:
        """Count one refused request in the segment's counters."""

    def count(self, name: str, n: int) -> None:
        """Add to a counter that is not kept by app. KeyError when there is none of this name."""

    def count_time(self, name: str, seconds: float) -> None:
        """Add to one of the latencies. KeyError when there is none of this name."""

    def count_response(self, status: int) -> None:
        """Count an HTTP response by the class of its status."""

    def count_delivered(self, app: str, events: int, bytes: int) -> None:
        """Count events that went to a subscriber."""

    def set_gauge(self, name: str, value: int) -> None:
        """Say what this worker has at the moment. KeyError when there is no gauge of this name."""

    def apps(self) -> dict[str, dict[str, int]]:
        """The counters that are kept by app, of all workers; "" has those of apps that have none of their own."""

    def gauges(self) -> dict[str, int]:
        """Sums over the living workers; "started" is the oldest's, and "workers" how many serve."""

    def counters(self) -> dict[str, int]:
        """Totals of all workers, living and dead; refusals as "refused.<code>"."""

    def latencies(self) -> dict[str, tuple[list[float], list[int], float]]:
        """Per stage (core/counters.hpp, Timer): bounds of the buckets in seconds, counts per bucket, sum in seconds.

        There is one more count than bounds: of what was slower than the last bound.
        """

    def segment(self) -> dict[str, float]:
        """How full it is: channels, max_channels, log_bytes, log_used, idempotency_keys, workers, file_bytes.

        And "oldest", the time of the oldest event in the log, in seconds since 1970; 0 when there is none.
        """

    def notices(self) -> list[str]:
        """What opening the segment had to repair or set aside, one sentence each; empty when all was well."""

    def close(self) -> None:
        """Let go of the segment. Any later call raises EngineUnavailable. Idempotent."""

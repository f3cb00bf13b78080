import threading

from polyglot_gateway.processor.breaker import Breaker


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def fail(breaker, times=1):
    for _ in range(times):
        breaker.failed(breaker.admit(), "no answer")


def opened(clock, **options):
    breaker = Breaker(5, 30.0, clock=clock, **options)
    fail(breaker, 5)
    return breaker


def steps(breaker):
    return [(step["from"], step["to"]) for step in breaker.snapshot()["transitions"]]


def test_it_is_closed_and_lets_everything_through_side_by_side():
    breaker = Breaker(5, 30.0)
    assert all(breaker.admit() is not None for _ in range(100))
    assert breaker.snapshot() == {
        "state": "closed",
        "failures": 0,
        "opened_at": None,
        "next_try_in": None,
        "last_error": None,
        "transitions": [],
    }


def test_it_opens_after_so_many_failures_in_a_row_and_says_what_it_knows():
    clock = Clock()
    breaker = Breaker(5, 30.0, clock=clock)
    fail(breaker, 4)
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"
    assert breaker.admit() is None
    clock.now += 10
    snapshot = breaker.snapshot()
    assert snapshot["failures"] == 5
    assert snapshot["next_try_in"] == 20.0
    assert snapshot["last_error"] == "no answer"
    assert snapshot["opened_at"] == snapshot["transitions"][0]["at"]
    assert snapshot["opened_at"].endswith("Z")
    assert breaker.refusal() == "is not asked for 20.0 s more, after 5 failures in a row; the last: no answer"


def test_an_answer_in_between_begins_the_count_anew():
    breaker = Breaker(5, 30.0)
    fail(breaker, 4)
    breaker.succeeded(breaker.admit())
    fail(breaker, 4)
    assert breaker.state == "closed"
    assert breaker.snapshot()["failures"] == 4


def test_half_open_lets_exactly_one_through_and_an_answer_closes_it():
    clock = Clock()
    breaker = opened(clock)
    clock.now += 29.9
    assert breaker.admit() is None
    clock.now += 0.1
    assert breaker.state == "half_open"
    trial = breaker.admit()
    assert trial is not None
    assert breaker.admit() is None
    assert "until the batch that tries it has an answer" in breaker.refusal()
    breaker.succeeded(trial)
    assert breaker.state == "closed"
    assert breaker.snapshot()["failures"] == 0
    assert steps(breaker) == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


def test_a_trial_that_fails_opens_it_for_as_long_again():
    clock = Clock()
    breaker = opened(clock)
    clock.now += 30
    breaker.failed(breaker.admit(), "still not")
    snapshot = breaker.snapshot()
    assert (snapshot["state"], snapshot["next_try_in"]) == ("open", 30.0)
    assert (snapshot["failures"], snapshot["last_error"]) == (6, "still not")


def test_a_trial_whose_sender_goes_away_leaves_room_for_the_next():
    clock = Clock()
    breaker = opened(clock)
    clock.now += 30
    breaker.left(breaker.admit())
    assert breaker.admit() is not None


def test_what_was_let_through_before_a_transition_says_nothing_any_more():
    clock = Clock()
    breaker = Breaker(5, 30.0, clock=clock)
    late_answer, late_failure, late_leaver = breaker.admit(), breaker.admit(), breaker.admit()
    fail(breaker, 5)
    breaker.succeeded(late_answer)
    assert breaker.state == "open"
    clock.now += 30
    trial = breaker.admit()
    breaker.failed(late_failure, "long ago")
    breaker.left(late_leaver)
    assert breaker.state == "half_open"
    assert breaker.admit() is None
    breaker.succeeded(trial)
    assert breaker.state == "closed"


def test_one_that_is_off_counts_and_never_opens():
    breaker = opened(Clock(), enabled=False)
    assert breaker.state == "closed"
    assert breaker.snapshot()["failures"] == 5
    assert breaker.snapshot()["last_error"] == "no answer"


def test_it_keeps_the_newest_transitions_only():
    clock = Clock()
    breaker = opened(clock)
    for _ in range(50):
        clock.now += 30
        fail(breaker)
    assert len(steps(breaker)) == 20
    assert steps(breaker)[-1] == ("half_open", "open")


def test_of_many_threads_one_gets_the_trial():
    clock = Clock()
    for _ in range(50):
        breaker = opened(clock)
        clock.now += 30
        got = []
        ready = threading.Barrier(8)

        def ask(breaker=breaker, got=got, ready=ready):
            ready.wait()
            got.append(breaker.admit())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([admission for admission in got if admission is not None]) == 1

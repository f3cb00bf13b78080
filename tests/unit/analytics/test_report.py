import json

from polyglot_gateway.analytics.report import report


def test_a_report_has_every_figure(columns):
    found = report(columns([0, 1, 59], read=60, price=[1.0, 2.0, 3.0]), bucket=30)
    one = {"count": 3, "min": 200, "max": 200, "mean": 200, "p50": 200, "p95": 200, "p99": 200}
    assert found | {"intervals": ..., "fields": ...} == {
        "channel": "room",
        "epoch": "0123456789abcdef",
        "count": 3,
        "first_offset": 1,
        "last_offset": 3,
        "begin": "2023-11-14T22:13:20.000000Z",
        "end": "2023-11-14T22:14:20.000000Z",
        "rates": {"1": 0, "10": 0.1, "60": 2 / 60, "all": 2 / 60},
        "intervals": ...,
        "sizes": one,
        "fields": ...,
        "buckets": {"seconds": 30, "first": "2023-11-14T22:13:00.000000Z", "counts": [2, 0, 1]},
    }
    assert found["intervals"]["max"] == 58
    assert found["fields"]["/price"]["p50"] == 2


def test_what_is_no_finite_number_is_null(columns):
    found = report(columns([], read=60, price=[]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["begin"], found["first_offset"], found["rates"]["all"], found["buckets"]) == (None, None, None, None)
    assert found["fields"]["/price"] == {"count": 0, **dict.fromkeys(("min", "max", "mean", "p50", "p95", "p99"))}
    assert report(columns([0, 1], read=1, price=[1.7e308, 1.7e308]))["fields"]["/price"]["mean"] is None


def test_there_are_a_thousand_buckets_at_most(columns):
    found = report(columns([0, 5000], read=5000), bucket=1)
    assert len(found["buckets"]["counts"]) == 1000
    assert found["buckets"]["counts"][-1] == 1

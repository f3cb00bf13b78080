"""A minute of everything at once; `python -m tests.soak` goes on for longer."""

from pathlib import Path

import pytest
from tests.soak import run


@pytest.mark.slow
@pytest.mark.parametrize("server", ["native", "wsgi"])
def test_nothing_is_lost_in_silence_and_nothing_grows(server: str, tmp_path: Path) -> None:
    report = run(tmp_path, 60, server)
    assert (report.failures, report.silent, report.grown()) == ([], 0, []), str(report)
    for what in ("acknowledged: REST", "acknowledged: batch", "delivered to witnesses", "pages of history"):
        assert report.counts[what] > 100, str(report)
    for what in ("evicted channels", "reloads", "workers killed", "replayed", "guests came and went"):
        assert report.counts[what] > 2, str(report)

"""Whatever breaks: what was acknowledged is delivered, once, or its loss is said."""

from pathlib import Path

import pytest
from tests.faults import AFTER, BEFORE, SCENARIOS, run


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_in_silence(name: str, tmp_path: Path) -> None:
    counts = run(SCENARIOS[name], tmp_path)
    assert counts.acknowledged >= BEFORE + AFTER
    assert (counts.silent, counts.duplicated) == (0, 0), counts

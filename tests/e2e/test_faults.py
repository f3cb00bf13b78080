"""Whatever breaks: what was acknowledged is delivered, once, or its loss is said."""

import os
import shutil
from pathlib import Path

import pytest
from tests.faults import AFTER, BEFORE, SCENARIOS, run


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_in_silence(name: str, tmp_path: Path) -> None:
    if SCENARIOS[name].network and (os.geteuid() != 0 or shutil.which("ip") is None):
        pytest.skip("a network namespace takes root, and iproute2")
    counts = run(SCENARIOS[name], tmp_path)
    assert counts.acknowledged >= BEFORE + AFTER
    assert (counts.silent, counts.duplicated) == (0, 0), counts

"""No file grows past what one can keep in mind."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 400

# Longer files, and the reason that each is one piece.
REASONS: dict[str, str] = {}


def test_no_source_is_longer_than_the_limit_without_a_reason() -> None:
    suffixes = (".py", ".cpp", ".hpp", ".sh")
    folders = ("python", "cpp", "tests", "benchmarks", "scripts")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    long = {str(path.relative_to(ROOT)) for path in files if len(path.read_text().splitlines()) > LIMIT}
    assert long == set(REASONS)

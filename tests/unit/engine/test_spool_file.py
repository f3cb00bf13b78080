import multiprocessing
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyglot_gateway.engine.spool_file import Record, SpoolFile, waiting

ALL = 1 << 30


def record(number: int, size: int = 10, unknown: bool = False) -> Record:
    id_ = number.to_bytes(16, "big")
    return Record(
        "demo", f"room:{number % 3}", id_, 1_000_000 + number, id_, 7, b"{%d}" % number + b"x" * size, unknown
    )


def append(file: SpoolFile, *records: Record) -> None:
    file.append([one.packed() for one in records])


def records(file: SpoolFile, most: int = 10_000) -> list[Record]:
    return [one for _, one in file.read(most, ALL)]


def left_behind(path: Path) -> SpoolFile:
    """The file again, after the one who had it was killed."""
    file = SpoolFile.adopt(path)
    assert file is not None
    return file


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SpoolFile]:
    made = SpoolFile.create(tmp_path / "spool", sync=False)
    yield made
    made.close()


def killed(file: SpoolFile) -> Path:
    """What a kill leaves: the descriptor is closed, and nothing else is done."""
    os.close(file._descriptor)
    file._descriptor = -1
    return file.path


def test_what_is_appended_is_read_in_order(file: SpoolFile) -> None:
    all_ = [record(number, unknown=number % 2 == 0) for number in range(20)]
    append(file, *all_[:7])
    append(file, *all_[7:])
    assert file.events == 20
    assert records(file) == all_
    assert records(file, 5) == all_[:5]
    assert [one for _, one in file.read(100, 200)] == all_[:3], "those that begin within so many bytes"


def test_what_was_forwarded_is_not_read_again(file: SpoolFile) -> None:
    all_ = [record(number) for number in range(20)]
    append(file, *all_)
    file.forwarded(file.read(8, ALL)[-1][0], 8)
    assert (file.events, records(file)) == (12, all_[8:])
    again = left_behind(killed(file))
    assert (again.events, records(again)) == (12, all_[8:])
    again.close()
    assert again.path.exists()


def test_a_file_whose_events_are_all_forwarded_is_as_good_as_new(file: SpoolFile) -> None:
    empty = file.size
    append(file, *[record(number) for number in range(5)])
    file.forwarded(file.read(5, ALL)[-1][0], 5)
    assert (file.size, file.events, file.path.stat().st_size) == (empty, 0, empty)
    append(file, record(9))
    again = left_behind(killed(file))
    assert records(again) == [record(9)]


def test_who_is_killed_while_emptying_it_leaves_nothing(file: SpoolFile) -> None:
    append(file, *[record(number) for number in range(5)])
    end = file.read(5, ALL)[-1][0]
    file._begin, file._forwarded, file.events = end, 5, 0
    file._write_header()
    os.ftruncate(file._descriptor, 32)
    again = left_behind(killed(file))
    assert (again.events, again.size) == (0, 32)
    append(again, record(7))
    assert records(again) == [record(7)]


def test_a_torn_record_is_cut_off_at_every_byte(file: SpoolFile, tmp_path: Path) -> None:
    append(file, record(1), record(2))
    whole = file.size
    append(file, record(3))
    content = file.path.read_bytes()
    torn = tmp_path / "torn.spool"
    for size in range(len(content) + 1):
        torn.write_bytes(content[:size])
        again = left_behind(torn)
        kept = 3 if size == len(content) else 2 if size >= whole else None
        if kept is not None:
            assert records(again) == [record(number + 1) for number in range(kept)], size
            assert again.cut == (0 if kept == 3 else size - whole)
        append(again, record(9))
        assert records(again)[-1] == record(9), size
        killed(again)


def test_a_record_of_which_a_byte_is_wrong_is_cut_off(file: SpoolFile, tmp_path: Path) -> None:
    append(file, record(1))
    whole = file.size
    append(file, record(2))
    content = file.path.read_bytes()
    wrong = tmp_path / "wrong.spool"
    for at in range(whole, len(content)):
        wrong.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        again = left_behind(wrong)
        assert records(again) == [record(1)], at
        killed(again)


def _append_beyond_the_limit(path: Path, limit: int) -> None:
    file = left_behind(path)
    before = file.path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        append(file, *[record(number, 100) for number in range(10)])
    except OSError:
        assert file.path.read_bytes() == before
        append(file, record(2))
        os._exit(0)
    os._exit(1)


def test_a_full_disk_leaves_nothing_half_kept(file: SpoolFile) -> None:
    append(file, record(1))
    path = killed(file)
    # The limit falls into what is written, as the end of the disk does.
    process = multiprocessing.get_context("fork").Process(
        target=_append_beyond_the_limit, args=(path, path.stat().st_size + 500)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert records(left_behind(path)) == [record(1), record(2)]


def test_a_file_has_one_owner(file: SpoolFile) -> None:
    append(file, record(1))
    assert SpoolFile.adopt(file.path) is None
    path = killed(file)
    again = left_behind(path)
    assert SpoolFile.adopt(path) is None
    again.close()
    assert records(left_behind(path)) == [record(1)]


def test_a_file_without_events_goes_with_its_owner(file: SpoolFile) -> None:
    file.close()
    file.close()
    assert not file.path.exists()
    assert SpoolFile.adopt(file.path) is None


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.spool"
    path.write_bytes(b"PGSPOOL9" + bytes(100))
    with pytest.raises(OSError, match="another version"):
        SpoolFile.adopt(path)
    assert len(path.read_bytes()) == 108
    assert waiting(tmp_path) == (0, 0)


def test_what_waits_in_a_folder_is_counted(file: SpoolFile) -> None:
    other = SpoolFile.create(file.path.parent, sync=True)
    append(file, record(1), record(2))
    append(other, record(3))
    size = file.size - 32 + other.size - 32
    assert waiting(file.path.parent) == (3, size)
    first = file.read(1, ALL)[0][0]
    file.forwarded(first, 1)
    assert waiting(file.path.parent) == (2, size - (first - 32))
    other.close()

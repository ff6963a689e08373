import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.journal import GROWTH, Journal, read_journal

ROOT = Path(__file__).parents[2]


def records(path: Path, start: int = 0) -> list[object]:
    return [record for _, record in read_journal(path, start)]


def test_what_is_appended_is_read_again_also_while_it_is_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    place = journal.append({"a": 1})
    journal.append({"b": "ü\n"})
    assert records(tmp_path / "a.journal") == [{"a": 1}, {"b": "ü\n"}]
    assert records(tmp_path / "a.journal", place) == [{"b": "ü\n"}]
    journal.append({"long": "x" * 2 * GROWTH})
    journal.close()
    again = Journal(tmp_path / "a.journal")
    again.append({"c": 3})
    again.sync()
    assert [next(iter(record)) for record in records(tmp_path / "a.journal")] == ["a", "b", "long", "c"]  # type: ignore
    again.close()
    assert records(tmp_path / "nothing.journal") == []


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 200), flipped=st.booleans())
def test_a_line_that_is_not_whole_ends_the_journal_and_is_written_over(
    cut: int, flipped: bool, tmp_path_factory
) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("journal") / "a.journal"
    journal = Journal(path)
    for number in range(20):
        journal.append({"number": number})
    journal.close()
    content = bytearray(path.read_bytes())
    place = len(content) - min(cut, len(content) - 1)
    if flipped:
        content[place] ^= 1
    else:
        del content[place:]
    path.write_bytes(bytes(content))
    whole = records(path)
    assert whole == [{"number": number} for number in range(len(whole))]
    assert len(whole) < 20
    again = Journal(path)
    again.append({"number": "new"})
    again.close()
    assert records(path) == [*whole, {"number": "new"}]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    with pytest.raises(BlockingIOError):
        Journal(tmp_path / "a.journal")
    journal.close()
    Journal(tmp_path / "a.journal").close()


WRITER = """
import os, sys
from pathlib import Path
from monitoring.journal import Journal
journal, number = Journal(Path(sys.argv[1])), 0
while True:
    journal.append({"number": number})
    os.write(1, b"%d\\n" % number)  # only once it was taken
    number += 1
"""


def test_a_kill_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    for _ in range(3):
        path.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            seen = [writer.stdout.readline() for _ in range(300)]
            os.kill(writer.pid, signal.SIGKILL)
            seen += writer.stdout.readlines()
        taken = sum(line.endswith(b"\n") for line in seen)
        found = records(path)
        assert taken <= len(found) <= taken + 1
        assert found == [{"number": number} for number in range(len(found))]


FULL = """
import resource, sys
from pathlib import Path
from monitoring.journal import GROWTH, Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (GROWTH, -1))
journal, taken = Journal(Path(sys.argv[1])), 0
try:
    while True:
        journal.append({"number": taken})
        taken += 1
except OSError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
journal.append({"number": taken})
print(taken)
"""


def test_a_disk_without_room_is_an_error_and_no_signal_and_all_goes_on_once_there_is_some(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "a.journal")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    taken = int(done.stdout)
    assert records(tmp_path / "a.journal") == [{"number": number} for number in range(taken + 1)]


def test_what_is_mapped_has_room_on_the_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.journal")
    journal.append({"number": 1})
    assert (tmp_path / "a.journal").stat().st_blocks * 512 >= GROWTH, "a hole in the file would end us by SIGBUS"
    journal.close()

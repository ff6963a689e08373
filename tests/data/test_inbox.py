from pathlib import Path

from data.inbox import iter_waiting, take, waiting


def test_only_finished_files_wait_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "c.csv.part", ".hidden.csv", "note.txt"):
        (tmp_path / name).write_text("x\n1\n")
    (tmp_path / "folder.csv").mkdir()
    assert [file.name for file in waiting(tmp_path)] == ["a.parquet", "b.csv"]
    assert waiting(tmp_path / "nowhere") == []


def test_a_taken_file_is_kept_and_never_replaced(tmp_path: Path) -> None:
    for content in ("x\n1\n", "x\n2\n", "x\n2\n"):
        (tmp_path / "day.csv").write_text(content)
        take(tmp_path / "day.csv")
    kept = sorted(file.read_text() for file in (tmp_path / "taken").iterdir())
    assert kept == ["x\n1\n", "x\n2\n"]
    assert waiting(tmp_path) == []


def test_what_waits_is_looked_up_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "first.csv").write_text("x\n1\n")
    arrivals = iter_waiting(tmp_path)
    take(tmp_path / "first.csv")
    (tmp_path / "second.csv").write_text("x\n2\n")
    assert [arrival.name for arrival in arrivals] == ["second.csv"]

import pytest

from data.schema import Schema
from data.sources import Arrival
from deployments.labels import check_label_files, holds_labels

SCHEMA = Schema(("s1", "s2"), "y", "time", None, "classification", (), ("line", "time"))


def file(header: str, name: str = "x.csv") -> Arrival:
    return Arrival(name, f"{header}\n{','.join('1' for _ in header.split(','))}\n".encode(), "csv")


@pytest.mark.parametrize(
    ("header", "labels"),
    [
        ("line,time,y", True),
        ("y,inspector,time,line", True),
        ("line,time", False),
        ("time,y", False),
        ("line,time,y,s1", False),
        ("s1,s2,y,time,line", False),
    ],
)
def test_labels_are_known_by_their_columns(header: str, labels: bool) -> None:
    assert holds_labels(file(header), SCHEMA) is labels


def test_a_broken_file_holds_no_labels() -> None:
    assert not holds_labels(Arrival("x.csv", b"", "csv"), SCHEMA)


def test_other_files_are_refused_before_anything_is_done() -> None:
    check_label_files(SCHEMA, [file("line,time,y")])
    with pytest.raises(ValueError, match=r"b.csv is no file of labels: it needs the columns line, time, y, and no"):
        check_label_files(SCHEMA, [file("line,time,y"), file("s1,s2,y,time,line", "b.csv")])
    with pytest.raises(ValueError, match=r"data\.key: name the columns"):
        check_label_files(Schema(("s1",), "y", None, None, "classification", ()), [])

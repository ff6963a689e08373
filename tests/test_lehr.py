import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lehr import main

ROOT = Path(__file__).parents[1]
SMALLEST = "name: line\ntask: classification\ndata: {target: defect}\n"
Said = tuple[int, str, str]  # exit status, output, errors
Lehr = Callable[..., Said]

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")  # it reads sys.argv


@pytest.fixture
def lehr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lehr:
    """The command line in this process, which has imported all that a fresh one would import for seconds."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["lehr", *words])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        return status, *capsys.readouterr()

    return call


def test_before_anything_came(lehr: Lehr, tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(SMALLEST)
    assert "nothing was ever in production" in lehr("history", "line.yaml")[1]
    assert "champion     none yet" in lehr("status", "line.yaml")[1]
    status, _, errors = lehr("labels", "line.yaml", "line.yaml")
    assert (status, errors.strip()) == (2, "lehr: nothing is stored of the pipeline line: lehr run it first")
    status, _, errors = lehr("rollback", "line.yaml", "--reason", "x")
    assert (status, errors.strip()) == (2, "lehr: line has no champion to roll back")


def test_init_writes_a_file_once(lehr: Lehr, tmp_path: Path) -> None:
    (tmp_path / "plant.csv").write_text("a,b,label\n" + "".join(f"{i % 5},{i % 3},{i % 2}\n" for i in range(40)))
    status, output, _ = lehr("init", "plant.csv")
    assert status == 0
    assert "wrote plant.yaml" in output
    status, _, errors = lehr("init", "plant.csv")
    assert status == 2
    assert "plant.yaml is already there" in errors


def test_a_file_that_cannot_be_written_and_names_like_markup_are_said_as_they_are(lehr: Lehr, tmp_path: Path) -> None:
    (tmp_path / "[red]b.csv").write_text("a,label\n" + "".join(f"{i % 5},{i % 2}\n" for i in range(40)))
    status, _, errors = lehr("init", "[red]b.csv", "--output", "nowhere/b.yaml")
    assert (status, errors.strip()) == (2, "lehr: nowhere/b.yaml: No such file or directory")
    assert "wrote [red]b.yaml; read it through" in lehr("init", "[red]b.csv")[1]
    status, _, errors = lehr("status", "[/nope]:smile:.yaml")
    assert status == 2
    assert "[/nope]:smile:.yaml" in errors


@pytest.mark.parametrize(
    ("text", "source", "said"),
    [
        (SMALLEST + "gate: {metric: rmse}\n", ".", "gate.metric: rmse does not fit classification"),
        (SMALLEST, "nowhere", "there is no source nowhere"),
        (SMALLEST, ".", "the source holds no finished file"),
    ],
)
def test_a_mistake_is_said_without_a_traceback(lehr: Lehr, tmp_path: Path, text: str, source: str, said: str) -> None:
    (tmp_path / "line.yaml").write_text(text)
    status, _, errors = lehr("run", "line.yaml", "--source", source)
    assert status == 2
    assert said in " ".join(errors.split())
    assert "Traceback" not in errors


def test_a_process_of_its_own_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(SMALLEST)
    command = [sys.executable, str(ROOT / "lehr.py"), "rollback", "line.yaml", "--reason", "x"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.strip() == "lehr: line has no champion to roll back"

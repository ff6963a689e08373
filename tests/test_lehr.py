import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALLEST = "name: line\ntask: classification\ndata: {target: defect}\n"


def lehr(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ROOT / "lehr.py"), *words], cwd=cwd, capture_output=True, text=True)


def test_before_anything_came(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(SMALLEST)
    assert "nothing was ever in production" in lehr("history", "line.yaml", cwd=tmp_path).stdout
    status = lehr("status", "line.yaml", cwd=tmp_path)
    assert "champion     none yet" in status.stdout
    labels = lehr("labels", "line.yaml", "line.yaml", cwd=tmp_path)
    assert (labels.returncode, labels.stderr.strip()) == (
        2, "lehr: nothing is stored of the pipeline line: lehr run it first",
    )  # fmt: skip
    refused = lehr("rollback", "line.yaml", "--reason", "x", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.strip()) == (2, "lehr: line has no champion to roll back")


def test_init_writes_a_file_once(tmp_path: Path) -> None:
    (tmp_path / "plant.csv").write_text("a,b,label\n" + "".join(f"{i % 5},{i % 3},{i % 2}\n" for i in range(40)))
    first = lehr("init", "plant.csv", cwd=tmp_path)
    assert first.returncode == 0
    assert "wrote plant.yaml" in first.stdout
    again = lehr("init", "plant.csv", cwd=tmp_path)
    assert again.returncode == 2
    assert "plant.yaml is already there" in again.stderr


@pytest.mark.parametrize(
    ("text", "source", "said"),
    [
        (SMALLEST + "gate: {metric: rmse}\n", ".", "gate.metric: rmse does not fit classification"),
        (SMALLEST, "nowhere", "there is no source nowhere"),
        (SMALLEST, ".", "the source holds no finished file"),
    ],
)
def test_a_mistake_is_said_without_a_traceback(tmp_path: Path, text: str, source: str, said: str) -> None:
    (tmp_path / "line.yaml").write_text(text)
    run = lehr("run", "line.yaml", "--source", source, cwd=tmp_path)
    assert run.returncode == 2
    assert said in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr

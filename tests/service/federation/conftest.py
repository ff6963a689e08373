from pathlib import Path

import polars as pl
import pytest

from service.core import now
from service.security.tokens import make_token, tokens_path
from tests.learning.federation.plants import plant
from tests.service.federation.lines import NODES


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """Each node's rows, and its file beside them."""
    files: dict[str, Path] = {}
    for seed, name in enumerate(NODES):
        folder = tmp_path / name
        folder.mkdir()
        readings, classes = plant(seed, 120)
        frame = pl.DataFrame(readings, schema=list("abcd")).with_columns(label=pl.Series(classes).cast(pl.String))
        frame.write_csv(folder / "rows.csv")
        text = "federation: lines\nsource: rows.csv\ntask: classification\ndata: {target: label, order: none}\n"
        (folder / "node.yaml").write_text(text)
        files[name] = folder / "node.yaml"
    return files


@pytest.fixture
def tokens(home: Path) -> dict[str, str]:
    made = {name: make_token(tokens_path(home), name, ["node"], None, now()) for name in (*NODES, "stranger")}
    return {**made, "trainer": make_token(tokens_path(home), "trainer", ["train"], None, now())}

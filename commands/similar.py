"""The commands about signals that are alike: index, similar."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from commands.opening import console, settings_at
from data.files import write_whole

if TYPE_CHECKING:
    import polars as pl

MOST_SHOWN = 20


def index(
    *files: Annotated[Path, Parameter(negative=())], index: Path, model: Path | None = None, home: Path | None = None
) -> None:
    """Add the signals of files to an index of their embeddings, for `lehr similar` to search.

    Parameters
    ----------
    files
        npz or Parquet files of signals, or folders ELEMENT/SESSION/NAME; one whose signals are all there is not added
        again.
    index
        The index's folder, which is made where there is none.
    model
        What represents them: a model.onnx, or a pipeline file for its champion. Needed the first time alone: the index
        keeps its model.
    home
        Where lehr keeps its state.
    """
    from deployments.similar_signals import index_files, open_embedder, open_embedder_of
    from monitoring.similarity import open_index
    from monitoring.similarity_files import MANIFEST

    if not files:
        raise ValueError("name the files whose signals are to be added")
    if model is None and not (index / MANIFEST).exists():
        raise ValueError(f"{index} is a new index: name what represents its signals, --model model.onnx")
    opened = open_embedder_of(open_index(index)) if model is None else open_embedder(model, settings_at(home))
    for file, count in index_files(files, index, opened):
        console.print(f"{file}: " + (f"{count:,} signals added" if count else "was added before, nothing changed"))
    console.print(f"{len(open_index(index)):,} signals in {index}; then: lehr similar FILE --index {index}")


def similar(
    file: Path,
    *,
    index: Path,
    model: Path | None = None,
    neighbours: Annotated[int, Parameter(name=["--neighbours", "-k"])] = 5,
    approximate: Annotated[bool, Parameter(negative=())] = False,
    healthy: Path | None = None,
    false_alarms: float = 0.01,
    csv: Path | None = None,
    html: Path | None = None,
    home: Path | None = None,
) -> None:
    """Find the signals of an index that are most like each signal of a file.

    Parameters
    ----------
    file
        An npz or Parquet file of signals, or a folder ELEMENT/SESSION/NAME. A file needs no keypoints and no ids.
    index
        The index's folder; `lehr index` makes it.
    model
        A model.onnx, or a pipeline file for its champion: the one that the index was made with, which it keeps; another
        is refused.
    neighbours
        How many of the nearest to show.
    approximate
        Search with faiss (an extra), for many signals in an index of millions; its index is built the first time.
    healthy
        A file of other healthy signals, where the index is one of healthy signals: how far each signal lies from these
        is its anomaly, and farther than the file's signals lie is an alarm.
    false_alarms
        The share of healthy signals that may raise one.
    csv
        Write all that was found here.
    html
        Write a page here: a map of the embeddings, keypoints, and the signals aligned on them.
    home
        Where lehr keeps its state.
    """
    from deployments.similar_signals import nearest_named, open_embedder, open_embedder_of, with_anomalies
    from monitoring.approximate import ApproximateSearch
    from monitoring.similarity import check_model, open_index

    opened = open_index(index)
    embedder = open_embedder_of(opened) if model is None else open_embedder(model, settings_at(home))
    check_model(opened.manifest, embedder.sha256)
    found = embedder.represent(file, labelled=False)
    search = ApproximateSearch(opened) if approximate else opened
    table = nearest_named(search, opened, found, neighbours)
    if healthy is not None:
        others = embedder.represent(healthy, labelled=False)
        table = with_anomalies(table, search, opened, others, neighbours, false_alarms)
    _print(table, file)
    if csv is not None:
        write_whole(csv, table.write_csv().encode())
        console.print(f"all that was found: {csv}")
    if html is not None:
        from monitoring.signals_page import write_signals_page

        write_signals_page(opened, found.signals, found.embeddings_NE, found.positions, table, html)
        console.print(f"page: {html}")


def _print(found: "pl.DataFrame", file: Path) -> None:
    import polars as pl

    shown = found.filter(pl.col("signal").rank("dense") <= MOST_SHOWN)
    table = Table("signal", "element", "session", "id", title=f"nearest to the signals of {file}", title_justify="left")
    table.add_column("distance", justify="right")
    before = 0
    for row in shown.iter_rows(named=True):
        asked = str(row["signal"]) if row["signal"] != before else ""
        table.add_row(asked, row["element"], row["session"], row["id"], f"{row['distance']:.4f}")
        before = row["signal"]
    console.print(table)
    if "alarm" in found.columns:
        alarms = found.filter("alarm")["signal"].unique(maintain_order=True).to_list()
        named = ": signals " + ", ".join(map(str, alarms[:MOST_SHOWN])) if alarms else ""
        console.print(f"{len(alarms):,} alarms of {found['signal'].n_unique():,} signals{named}")
    if shown.height < found.height:
        console.print(f"the first {MOST_SHOWN} of {found['signal'].max():,} signals; --csv FILE writes all")

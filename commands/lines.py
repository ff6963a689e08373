"""The command that makes data of a synthetic line: synthesise."""

from pathlib import Path

from commands.opening import console


def synthesise(
    scenario: Path, *, rows: int, out: Path, truth: Path | None = None, batch_rows: int | None = None
) -> None:
    """Write rows of a glass line that runs as a scenario says.

    Parameters
    ----------
    scenario
        The scenario's file, YAML; an empty one is a quiet line.
    rows
        How many rows.
    out
        Where to write, as .csv or .parquet; with --batch-rows a folder of such files, .csv.
    truth
        Write what is really so in each row here, as .csv or .parquet.
    batch_rows
        Cut the line into files of so many rows; labels that come later are files of their own.
    """
    from data.scenario import Scenario
    from data.stream import line_batches
    from data.writing import write_batches, write_frame

    if batch_rows is not None and batch_rows < 1:
        raise ValueError(f"batch_rows must be at least 1, got {batch_rows}")
    line = line_batches(Scenario.load(scenario), batch_rows or rows)
    if batch_rows is None:
        batch = next(line)
        write_frame(batch.rows, out)
        truths = batch.truth
    else:
        truths = write_batches(line, rows // batch_rows, out)
    if truth is not None:
        write_frame(truths, truth)
    console.print(f"wrote {out}" + (f", and the truth about it to {truth}" if truth is not None else ""))

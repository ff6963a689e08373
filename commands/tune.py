"""The command that searches for hyper-parameters: tune."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from commands.opening import console, ledger_of, settings_at
from commands.results import write_result
from deployments.settings import keep_quiet
from monitoring.tuning_terminal import tuning_lines, tuning_table


def tune(
    pipeline: Path,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    processes: int = 1,
    source: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    batch_rows: int | None = None,
    candidate: bool = True,
    storage: str | None = None,
    dask: str | None = None,
    report: Path | None = None,
    html: Path | None = None,
    home: Path | None = None,
) -> dict[str, Any]:
    """Search for better hyper-parameters; a candidate with the best goes live if the gate lets it through.

    Parameters
    ----------
    pipeline
        The pipeline file; its key `tuning` says what is searched.
    trials
        How many points are tried; default: as the pipeline file says, 30.
    minutes
        Stop after so many; the same command goes on later.
    processes
        How many train at once.
    source
        Search on the batches of these files and folders instead of what the pipeline has stored.
    batch_rows
        Cut long files into batches of so many rows.
    candidate
        --no-candidate only searches: nothing is judged.
    storage
        A database's URL where studies are kept, such as postgresql+psycopg://…; default: a journal under home.
    dask
        The address of a Dask scheduler, on whose workers trials are trained instead.
    report
        Write the result as JSON here.
    html
        Write the result as a page here.
    home
        Where lehr keeps its state.
    """
    from learning.search.storage import optuna_library

    optuna_library()
    settings = settings_at(home)
    name, ledger = ledger_of(pipeline, home)
    if source is None and ledger.schema(name) is None:
        raise ValueError(
            f"nothing is stored of the pipeline {name}: `lehr run` it first, or search on files with --source"
        )
    keep_quiet(settings)
    from flows.tune_model import tune_model

    result = tune_model(
        pipeline=str(pipeline),
        trials=trials,
        minutes=minutes,
        processes=processes,
        sources=None if source is None else [str(path) for path in source],
        batch_rows=batch_rows,
        candidate=candidate,
        storage=storage,
        dask=dask,
        home=str(settings.home),
    )
    console.print(tuning_table(result))
    for line in tuning_lines(result):
        console.print(line)
    from monitoring.tuning_page import write_tuning_page

    write_result(result, report, html, write_tuning_page)
    return result

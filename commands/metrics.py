"""The command that shows what trackers have logged: metrics."""

from pathlib import Path

from rich.table import Table

from commands.opening import console

MOST_RUNS = 20


def metrics(
    experiment: str,
    *,
    best: str | None = None,
    export: Path | None = None,
    html: Path | None = None,
    home: Path | None = None,
) -> None:
    """Show the runs of an experiment that `MLMetricsTracker` has logged.

    Parameters
    ----------
    experiment
        The experiment's name.
    best
        Say which run was best by this metric.
    export
        Write every value here, as .csv, .json or .parquet.
    html
        Write a page here.
    home
        Where lehr keeps its state.
    """
    from monitoring.metrics import MetricsHistory

    history = MetricsHistory(experiment, home=home)
    runs = history.runs()
    if runs.is_empty():
        raise ValueError(f"nothing was logged for the experiment {experiment}")
    values = [name for name, kind in runs.schema.items() if kind.is_float()]
    table = Table("run", "status", "started (UTC)", *values)
    for row in runs.head(MOST_RUNS).iter_rows(named=True):
        figures = ["–" if row[name] is None else f"{row[name]:.4g}" for name in values]
        table.add_row(row["name"], row["status"].lower(), f"{row['started']:%Y-%m-%d %H:%M}", *figures)
    console.print(table)
    if best is not None:
        found = history.best_run(best)
        console.print(f"best by {best}: {found['name']} with {found['best']:.4g}")
    if export is not None:
        console.print(f"history: {history.export(export)}")
    if html is not None:
        console.print(f"page: {history.write_page(html)}")

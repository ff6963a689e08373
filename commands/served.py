"""The command of what is served: served. And labels that name receipts."""

from pathlib import Path
from typing import Any

from commands.opening import console, settings_at
from deployments.settings import Settings


def served(pipeline: Path, *, home: Path | None = None) -> None:
    """Say whether what predictions were asked for has drifted since the champion went into production.

    Parameters
    ----------
    pipeline
        The pipeline file.
    home
        Where lehr keeps its state.
    """
    from deployments.line import read_line
    from deployments.served import watch_served

    line = read_line(pipeline, settings_at(home))
    found = watch_served(line)
    if found is None:
        console.print(f"{line.name}: nothing was served by the version in production, or no readings are kept")
        return
    report = found.report
    console.print(f"{found.samples:,} predictions of version {found.version} since {found.since:%Y-%m-%d %H:%M}")
    console.print("drifted" if report.drifted else "no drift beyond chance")
    for name in report.most_drifted(5):
        distance = report.features[name]
        console.print(f"  {name}  {distance.distance:.2f} deviations, marked from {distance.threshold:.2f}")
    if report.note:
        console.print(report.note, soft_wrap=True)


def by_receipt(pipeline: Path, files: list[Path], settings: Settings, new_classes: bool = False) -> bool:
    """Take files of labels that name receipts; whether they are such. Raises ValueError where only some are."""
    from data.sources import iter_arrivals
    from deployments.line import inbox_of, read_line
    from deployments.served_labels import holds_receipts, tell_labels

    arrivals = list(iter_arrivals(files))
    named = [arrival for arrival in arrivals if holds_receipts(arrival)]
    if not named:
        return False
    if len(named) < len(arrivals):
        raise ValueError("some of the files name receipts and some do not; bring them one after the other")
    line, inbox = read_line(pipeline, settings), inbox_of(pipeline, settings)
    for arrival in named:
        told = tell_labels(line, inbox, arrival, new_classes)
        show_told(told.as_json())
    return True


def show_told(told: dict[str, Any]) -> None:
    """Say what labels by receipt have said."""
    for score in told["scores"]:
        figures = ", ".join(f"{name} {value:.3f}" for name, value in score["metrics"].items())
        console.print(f"version {score['version']}: {score['predictions']:,} predictions, {figures}")
    if told["batch_id"] is not None:
        console.print(f"to be learned from by the next lehr run: {told['batch_id']}", soft_wrap=True)
    elif told["not_learned"] is not None:
        console.print(f"not to be learned from: {told['not_learned']}", soft_wrap=True)
    left = {"known before": told["known"], "contradicted": len(told["contradicted"]), "not kept": told["not_kept"]}
    console.print(", ".join(f"{count:,} {what}" for what, count in left.items() if count) or "all are new")
    if told["unknown_classes"]:
        console.print(f"labels that a version does not know: {', '.join(told['unknown_classes'])}")

"""The commands of a plant at work: up, down, deploy, status, history, rollback, release."""

import contextlib
from pathlib import Path

from rich.table import Table

from commands.opening import console, ledger_of, settings_at
from deployments.settings import Settings


def up(*pipelines: Path, home: Path | None = None) -> None:
    """Start Prefect's server, MLflow's pages and the pipelines' deployments, until Ctrl-C or `lehr down`.

    Parameters
    ----------
    pipelines
        Pipeline files; default: those that come with lehr.
    home
        Where lehr keeps its state.
    """
    from deployments.bring_up import bring_up

    bring_up(settings_at(home), given_pipelines(pipelines), console.print)


def down(*, home: Path | None = None) -> None:
    """Stop what `lehr up` started."""
    from deployments.processes import bring_down

    console.print("stopped" if bring_down(settings_at(home).home) else "nothing was up")


def deploy(*pipelines: Path, output: Path = Path("prefect.yaml")) -> None:
    """Write prefect.yaml: the same deployments as `lehr up` serves, for the workers of a pool.

    Pipeline files are named as seen from where it is written.

    Parameters
    ----------
    pipelines
        Pipeline files; default: those that come with lehr.
    output
        Where to write.
    """
    from deployments.definitions import definitions, render

    root = output.resolve().parent
    paths = [path.resolve() for path in given_pipelines(pipelines)]
    near = [path.relative_to(root) if path.is_relative_to(root) else path for path in paths]
    with contextlib.chdir(root):
        (root / output.name).write_text(render(definitions(near)), encoding="utf-8")
    console.print(f"wrote {output}; then: prefect deploy --all, and on each machine: prefect worker start --pool lehr")


def status(pipeline: Path | None = None, *, home: Path | None = None) -> None:
    """Say whether lehr is up; of one pipeline, what is in production and which batches have come."""
    from deployments.setting_aside import readings_set_aside

    if pipeline is None:
        _say_whether_up(settings_at(home))
        return
    name, ledger = ledger_of(pipeline, home)
    champion = ledger.champion(name)
    finished = ledger.outcomes(name, "finish")
    console.print(f"pipeline     {name}")
    console.print(f"champion     {f'version {champion.version}: {champion.reason}' if champion else 'none yet'}")
    rows = [record for record in finished.values() if record.get("labels") is None]
    for state in ("accepted", "quarantined"):
        console.print(f"{state:<12} {sum(record['status'] == state for record in rows)} batches")
    console.print(f"late labels  {len(finished) - len(rows)} files")
    for number, readings in readings_set_aside(ledger, name).items():
        sensors = ", ".join(dict.fromkeys(part.feature for part in readings))
        console.print(f"set aside    batch {number}: {sensors} (lehr release {pipeline} {number} --reason …)")
    console.print(f"unfinished   {len(ledger.batches(name)) - len(finished)} batches")


def history(pipeline: Path, *, home: Path | None = None) -> None:
    """Say what was in production when, and why."""
    name, ledger = ledger_of(pipeline, home)
    table = Table("no.", "from (UTC)", "version", "before", "why")
    decided = [found for found in ledger.outcomes(name, "confirm").values() if found is not None]
    confirmed = {found["sequence"] for found in decided if found["passed"]}
    for promotion in ledger.history(name):
        since, previous = f"{promotion.at:%Y-%m-%d %H:%M:%S}", str(promotion.previous or "–")
        why = promotion.reason + ("; the labels confirmed it" if promotion.sequence in confirmed else "")
        table.add_row(str(promotion.sequence), since, str(promotion.version), previous, why)
    console.print(table if table.row_count else "nothing was ever in production")


def rollback(pipeline: Path, *, reason: str, to: int | None = None, home: Path | None = None) -> None:
    """Put an earlier version back into production.

    Parameters
    ----------
    pipeline
        The pipeline file.
    reason
        Why; it is kept in the history.
    to
        The version; default: the one before the champion.
    home
        Where lehr keeps its state.
    """
    from deployments.promotion import roll_back
    from deployments.publishing import broker_config, publish
    from deployments.registry import Registry

    (name, ledger), settings = ledger_of(pipeline, home), settings_at(home)
    promotion = roll_back(ledger, Registry(settings.tracking_uri, name), name, reason, to)
    if (broker := broker_config(settings)) is not None:
        publish(broker, ledger, settings.home / name, name)
    console.print(f"version {promotion.version} is in production again (was {promotion.previous})")


def release(pipeline: Path, batch: int, *, reason: str, home: Path | None = None) -> None:
    """Let the loop learn from readings that triage has set aside, because the sensor was right after all.

    Parameters
    ----------
    pipeline
        The pipeline file.
    batch
        The batch's number, as `lehr status` names it.
    reason
        Why; it is kept beside the batch.
    home
        Where lehr keeps its state.
    """
    from deployments.setting_aside import release as release_readings

    name, ledger = ledger_of(pipeline, home)
    readings = release_readings(ledger, name, batch, reason)
    sensors = ", ".join(dict.fromkeys(part.feature for part in readings))
    console.print(f"batch {batch}: the readings of {sensors} may be learned from")


def _say_whether_up(settings: Settings) -> None:
    from deployments.processes import running_process

    process = running_process(settings.home)
    console.print("not up" if process is None else f"up, process {process}")
    if process is not None:
        console.print(f"Prefect      http://127.0.0.1:{settings.prefect_port}")
        console.print(f"MLflow       http://127.0.0.1:{settings.mlflow_port}")


def given_pipelines(pipelines: tuple[Path, ...]) -> list[Path]:
    folder = Path(__file__).parents[1] / "deployments" / "pipelines"
    return list(pipelines) or sorted(folder.glob("*.yaml"))

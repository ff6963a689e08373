"""A search for better hyper-parameters, whose pick goes through the gate like any other candidate."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from deployments.kinds import open_any_line, read_any_line, tunable_of_source
from deployments.line import open_ledger
from deployments.outcomes import Batch
from deployments.pipeline_files import load_pipeline
from deployments.requests import open_request
from deployments.settings import Settings
from deployments.tuning import Budget, overrides_of, tune
from monitoring.policies import Decision
from tasks.promote import promote_candidate
from tasks.request import finish_request, note_decision
from tasks.tune import judge_tuned, search_parameters, show_search


def _run_name() -> str:
    return f"tune {Path(flow_run.parameters['pipeline']).stem}"


@flow(name="tune-model", flow_run_name=_run_name)
def tune_model(
    pipeline: str,
    trials: Annotated[int, Field(ge=1)] | None = None,
    minutes: Annotated[float, Field(gt=0)] | None = None,
    processes: Annotated[int, Field(ge=1)] = 1,
    sources: list[str] | None = None,
    batch_rows: int | None = None,
    candidate: bool = True,
    storage: str | None = None,
    dask: str | None = None,
    run_key: str | None = None,
    home: str | None = None,
) -> dict[str, Any]:
    """Search for better hyper-parameters, and put a candidate with them into production if the gate lets it through.

    Args:
        pipeline: the pipeline file, whose `tuning` says what is searched.
        trials: how many points are tried; by default as the pipeline file says.
        minutes: stop after so many.
        processes: how many train at once.
        sources: search on the batches of these files and folders; by default on what the pipeline has stored.
        batch_rows: cut long files into batches of so many rows.
        candidate: whether the pick is trained on what is stored and judged; else it is only searched.
        storage: where studies are kept, such as postgresql+psycopg://…; by default a journal under home.
        dask: the address of a Dask scheduler, on whose workers trials are trained instead.
        run_key: a request that was begun before under this key goes on where it was.
        home: where lehr keeps its state.
    """
    settings = Settings() if home is None else Settings(home=Path(home))
    path, config = Path(pipeline), load_pipeline(Path(pipeline))
    budget = Budget(trials, minutes, dask or processes, storage)
    given = None if sources is None else tunable_of_source(path, [Path(source) for source in sources], batch_rows)
    if given is not None and (not candidate or open_ledger(settings).schema(config.name) is None):
        found = tune(given, settings, budget)
        show_search(found)
        return found
    said = {"trials": trials, "minutes": minutes, "candidate": candidate}
    batch, _ = open_request(open_ledger(settings), config.name, run_key or str(flow_run.id), said)
    line = read_any_line(path, settings)  # the loop may go on meanwhile
    found = search_parameters(line, batch, settings, budget, given)
    return _judge(path, settings, batch, found, candidate)


def _judge(path: Path, settings: Settings, batch: Batch, found: dict[str, Any], candidate: bool) -> dict[str, Any]:
    wanted = candidate and found["changed"]
    why = found["why"] if found["changed"] else f"the pipeline's own parameters stay: {found['why']}"
    with open_any_line(path, settings, [], overrides_of(found)) as line:
        decision = note_decision(line, batch, Decision("retrain" if wanted else "none", why))
        if wanted and (passed := judge_tuned(line, batch)) is not None:
            promote_candidate(line, batch, passed.rung, passed.exported, passed.judged, decision)
        found = {**found, "record": finish_request(line, batch)}
        show_search(found, line.registry)
        return found

"""The command line of lehr: the front door."""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from data.ledger import Ledger
from deployments.settings import Settings, keep_quiet
from monitoring.config import LearningAction
from monitoring.terminal import open_console, report_table

app = App(name="lehr", help="A continuous-learning line for neural networks on sensor data.", version="0.1.0")
console = open_console()

Sources = Annotated[list[Path], Parameter(consume_multiple=True)]
DEMO = Path("lehr-demo")
DEMO_PIPELINE = Path(__file__).parent / "deployments" / "pipelines" / "glass-line.yaml"


@app.command
def run(
    pipeline: Path,
    *,
    source: Sources,
    report: Path | None = None,
    html: Path | None = None,
    compare: bool = False,
    batch_rows: int | None = None,
    action: LearningAction | None = None,
    seed: int | None = None,
    home: Path | None = None,
) -> dict[str, Any]:
    """Take every batch that a source holds through the loop, and say what was done and why.

    Parameters
    ----------
    pipeline
        The pipeline file.
    source
        Files, or folders whose finished files are taken in order of name; each file is one batch.
    report
        Write the report as JSON here.
    html
        Write the report as a page here.
    compare
        Also score a static first champion, a cumulative and a sliding retrain before each batch.
    batch_rows
        Cut long files into batches of so many rows.
    action
        Ask for patch, update or retrain by hand, whatever the triggers say.
    seed
        Take this seed instead of the pipeline's.
    home
        Where lehr keeps its state; default LEHR_HOME, or .lehr in the working directory.
    """
    from data.sources import iter_arrivals
    from deployments.line import check_line

    settings = _settings(home)
    check_line(pipeline, settings, iter_arrivals(source, batch_rows))
    keep_quiet(settings)
    from flows.learn_continuously import learn_continuously

    result = learn_continuously(
        pipeline=str(pipeline),
        sources=[str(path) for path in source],
        batch_rows=batch_rows,
        action=action,
        compare=compare,
        seed=seed,
        home=str(settings.home),
    )
    _write_report(result, report, html)
    return result


@app.command
def labels(pipeline: Path, files: Annotated[list[Path], Parameter(negative=())], *, home: Path | None = None) -> None:
    """Bring labels that come later than their rows: files with the key's columns and the target.

    Parameters
    ----------
    pipeline
        The pipeline file.
    files
        CSV (plain or gzip) or Parquet files. Dropped into an inbox that `lehr run` reads they do the same.
    home
        Where lehr keeps its state.
    """
    from data.sources import iter_arrivals
    from deployments.labels import check_label_files
    from deployments.line import open_ledger, stored_schema
    from deployments.pipeline import PipelineConfig

    settings = _settings(home)
    check_label_files(stored_schema(PipelineConfig.load(pipeline), open_ledger(settings)), iter_arrivals(files))
    keep_quiet(settings)
    from flows.learn_continuously import learn_continuously

    learn_continuously(pipeline=str(pipeline), sources=[str(file) for file in files], home=str(settings.home))


def _write_report(result: dict[str, Any], report: Path | None, html: Path | None) -> None:
    console.print(report_table(result))
    if report is not None:
        report.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        console.print(f"report: {report}")
    if html is not None:
        from monitoring.page import write_page

        write_page(result, html)
        console.print(f"page: {html}")


@app.command
def init(file: Path, *, output: Path | None = None) -> None:
    """Write a first pipeline file from a data file, and say what was guessed.

    Parameters
    ----------
    file
        A CSV (plain or gzip) or Parquet file with a header.
    output
        Where to write; default: the data file's name with .yaml, in the working directory.
    """
    from data.guess import guess_pipeline
    from deployments.pipeline import PipelineConfig

    guess = guess_pipeline(file)
    target = output or Path(file.name.split(".")[0] + ".yaml")
    if target.exists():
        raise ValueError(f"{target} is already there; give another name with --output")
    target.write_text(guess.yaml_text, encoding="utf-8")
    PipelineConfig.load(target)
    for note in guess.notes:
        console.print(f"• {note}")
    console.print(f"wrote {target}; read it through, then: lehr run {target} --source {file}")


@app.command
def demo() -> None:
    """Run a synthetic glass line with planted drift through the whole loop."""
    from data.synthetic import write_line

    shutil.rmtree(DEMO, ignore_errors=True)
    write_line(DEMO / "line")
    pipeline = DEMO / DEMO_PIPELINE.name
    shutil.copy(DEMO_PIPELINE, pipeline)
    page = DEMO / "report.html"
    run(pipeline, source=[DEMO / "line"], report=DEMO / "report.json", html=page, compare=True, home=DEMO / "home")
    console.print(f"\nopen next: {page.resolve().as_uri()}")
    console.print(f"then:      .venv/bin/lehr history {pipeline} --home {DEMO / 'home'}")


@app.command
def backtest(
    pipeline: Path,
    *,
    source: Sources,
    batch_rows: int | None = None,
    report: Path | None = None,
    html: Path | None = None,
    price_training: float = 1.0,
    price_sample: float = 0.0,
    price_point: float = 1.0,
    learning: Literal["scratch", "chain"] = "scratch",
    processes: int = 1,
    home: Path | None = None,
) -> dict[str, Any]:
    """Say which trigger policy would have served best on the batches of a source.

    Parameters
    ----------
    pipeline
        The pipeline file; its ledger, store and champion stay as they are, and need not be there.
    source
        Files, or folders whose finished files are taken in order of name; each file is one batch.
    batch_rows
        Cut long files into batches of so many rows.
    report
        Write the result as JSON here.
    html
        Write the result as a page here.
    price_training
        What a training costs, in the unit of the other prices.
    price_sample
        What each sample that a training learns from costs.
    price_point
        What a point of score lost on one batch costs.
    learning
        scratch: each version from fresh weights on all batches so far. chain: each goes on from the one before.
    processes
        How many processes learn at once.
    home
        Where lehr keeps its state: what was learned for a backtest is found there again.
    """
    from deployments.backtest_command import run_backtest
    from monitoring.backtest import Prices
    from monitoring.backtest_terminal import backtest_table

    prices = Prices(price_training, price_sample, price_point)
    result = run_backtest(pipeline, source, batch_rows, learning, prices, _settings(home).home, processes)
    console.print(backtest_table(result))
    if report is not None:
        report.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        console.print(f"report: {report}")
    if html is not None:
        from monitoring.backtest_page import write_backtest_page

        write_backtest_page(result, html)
        console.print(f"page: {html}")
    return result


@app.command
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

    bring_up(_settings(home), _given(pipelines), console.print)


@app.command
def down(*, home: Path | None = None) -> None:
    """Stop what `lehr up` started."""
    from deployments.processes import bring_down

    console.print("stopped" if bring_down(_settings(home).home) else "nothing was up")


@app.command
def deploy(*pipelines: Path, output: Path = Path("prefect.yaml")) -> None:
    """Write prefect.yaml: the same deployments as `lehr up` serves, for the workers of a pool.

    Parameters
    ----------
    pipelines
        Pipeline files; default: those that come with lehr.
    output
        Where to write.
    """
    from deployments.definitions import definitions, render

    output.write_text(render(definitions(_given(pipelines))), encoding="utf-8")
    console.print(f"wrote {output}; then: prefect deploy --all, and on each machine: prefect worker start --pool lehr")


@app.command
def status(pipeline: Path | None = None, *, home: Path | None = None) -> None:
    """Say whether lehr is up; of one pipeline, what is in production and which batches have come."""
    from deployments.setting_aside import readings_set_aside

    if pipeline is None:
        _say_whether_up(_settings(home))
        return
    name, ledger = _ledger(pipeline, home)
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


@app.command
def history(pipeline: Path, *, home: Path | None = None) -> None:
    """Say what was in production when, and why."""
    name, ledger = _ledger(pipeline, home)
    table = Table("no.", "from (UTC)", "version", "before", "why")
    decided = [found for found in ledger.outcomes(name, "confirm").values() if found is not None]
    confirmed = {found["sequence"] for found in decided if found["passed"]}
    for promotion in ledger.history(name):
        since, previous = f"{promotion.at:%Y-%m-%d %H:%M:%S}", str(promotion.previous or "–")
        why = promotion.reason + ("; the labels confirmed it" if promotion.sequence in confirmed else "")
        table.add_row(str(promotion.sequence), since, str(promotion.version), previous, why)
    console.print(table if table.row_count else "nothing was ever in production")


@app.command
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
    from deployments.registry import Registry

    name, ledger = _ledger(pipeline, home)
    promotion = roll_back(ledger, Registry(_settings(home).tracking_uri, name), name, reason, to)
    console.print(f"version {promotion.version} is in production again (was {promotion.previous})")


@app.command
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

    name, ledger = _ledger(pipeline, home)
    readings = release_readings(ledger, name, batch, reason)
    sensors = ", ".join(dict.fromkeys(part.feature for part in readings))
    console.print(f"batch {batch}: the readings of {sensors} may be learned from")


@app.command
def predict(pipeline: Path, file: Path, *, output: Path | None = None, home: Path | None = None) -> None:
    """Predict each row or window of a file with the version in production; each prediction has a receipt.

    Parameters
    ----------
    pipeline
        The pipeline file.
    file
        A CSV (plain or gzip) or Parquet file with the features in any order; the target may be missing.
    output
        Where to write, as .csv or .parquet; default: the file's name with .predictions.csv, in the working directory.
    home
        Where lehr keeps its state.
    """
    from deployments.answers import predict_file

    target = output or Path(file.name.split(".")[0] + ".predictions.csv")
    predicted = predict_file(pipeline, _settings(home), file, target, datetime.now(UTC))
    console.print(f"{predicted.frame.height:,} predictions of version {predicted.version}: {target}")
    console.print(f"where the first comes from: lehr explain {predicted.frame['prediction_id'][0]}")


@app.command
def explain(
    prediction_id: str,
    *,
    given: Annotated[Path | None, Parameter(name="--input")] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    home: Path | None = None,
) -> None:
    """Say where a prediction comes from: model, run, decision, data and verdict, and what became of them since.

    Parameters
    ----------
    prediction_id
        As `lehr predict` wrote it.
    given
        A file that is said to hold the predicted row: say whether it does.
    as_json
        Print the receipt as JSON.
    home
        Where lehr keeps its state.
    """
    from data.sources import read_arrival
    from deployments.line import open_ledger
    from deployments.receipt_text import receipt_lines
    from deployments.receipts import find_prediction, receipt_of

    settings = _settings(home)
    ledger = open_ledger(settings)
    place = find_prediction(ledger, settings.home, prediction_id)
    receipt = receipt_of(ledger, place, None if given is None else read_arrival(given))
    lines = [json.dumps(receipt, indent=2)] if as_json else receipt_lines(receipt)
    console.print("\n".join(lines), markup=False, soft_wrap=True)


@app.command
def verify(pipeline: Path | None = None, *, expect: str | None = None, home: Path | None = None) -> None:
    """Recompute the hashes of ledger, versions, feature store and predictions; exit status 1 where anything differs.

    Parameters
    ----------
    pipeline
        Check only this pipeline's files; the ledger is always checked whole.
    expect
        The head that an earlier check printed and that was kept elsewhere: was the whole chain rewritten since?
    home
        Where lehr keeps its state.
    """
    from deployments.line import open_ledger
    from deployments.pipeline import PipelineConfig
    from deployments.verification import verify

    settings = _settings(home)
    ledger = open_ledger(settings)
    known = ledger.pipelines()
    names = known if pipeline is None else [PipelineConfig.load(pipeline).name]
    if not known or not set(names) <= set(known):
        raise ValueError(
            f"nothing to verify under {settings.home}: its ledger knows {', '.join(known) or 'no pipeline'}"
        )
    found = verify(ledger, settings.home, names, expect)
    for line in found.lines:
        console.print(line, markup=False, soft_wrap=True)
    if found.changes:
        sys.exit(1)


def _say_whether_up(settings: Settings) -> None:
    from deployments.processes import running_process

    process = running_process(settings.home)
    console.print("not up" if process is None else f"up, process {process}")
    if process is not None:
        console.print(f"Prefect      http://127.0.0.1:{settings.prefect_port}")
        console.print(f"MLflow       http://127.0.0.1:{settings.mlflow_port}")


def _given(pipelines: tuple[Path, ...]) -> list[Path]:
    folder = Path(__file__).parent / "deployments" / "pipelines"
    return list(pipelines) or sorted(folder.glob("*.yaml"))


def _ledger(pipeline: Path, home: Path | None) -> tuple[str, Ledger]:
    from deployments.line import open_ledger
    from deployments.pipeline import PipelineConfig

    return PipelineConfig.load(pipeline).name, open_ledger(_settings(home))


def _settings(home: Path | None) -> Settings:
    return Settings() if home is None else Settings(home=home)


def main() -> None:
    """Run the command line; a mistake of the user's is said without a traceback, with exit status 2."""
    try:
        app(result_action="return_value")
    except ValueError as mistake:
        Console(stderr=True, highlight=False).print(f"[red]lehr:[/red] {mistake}", markup=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

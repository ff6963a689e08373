"""The commands that take batches: run, labels, init, demo, backtest."""

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from commands.opening import console, settings_at
from commands.results import write_result
from deployments.settings import keep_quiet
from monitoring.config import LearningAction
from monitoring.terminal import report_table

Sources = Annotated[list[Path], Parameter(consume_multiple=True)]
DEMO = Path("lehr-demo")
DEMO_PIPELINE = Path(__file__).parents[1] / "deployments" / "pipelines" / "glass-line.yaml"


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
    from deployments.kinds import check_any_line

    settings = settings_at(home)
    check_any_line(pipeline, settings, iter_arrivals(source, batch_rows))
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
    console.print(report_table(result))
    from monitoring.page import write_page

    write_result(result, report, html, write_page)
    return result


def labels(
    pipeline: Path,
    files: Annotated[list[Path], Parameter(negative=())],
    *,
    new_classes: Annotated[bool, Parameter(negative=())] = False,
    home: Path | None = None,
) -> None:
    """Bring labels that come later than their rows: files with the key's columns and the target, or with receipts.

    Parameters
    ----------
    pipeline
        The pipeline file.
    files
        CSV (plain or gzip) or Parquet files. Dropped into an inbox that `lehr run` reads they do the same. Files with
        the column prediction_id bring the labels of predictions that `lehr serve` answered.
    new_classes
        These may be of classes that no version knows yet.
    home
        Where lehr keeps its state.
    """
    from commands.served import by_receipt
    from data.sources import iter_arrivals
    from deployments.labels import check_label_files
    from deployments.line import open_ledger, stored_schema
    from deployments.pipeline import PipelineConfig

    settings = settings_at(home)
    schema = stored_schema(PipelineConfig.load(pipeline), open_ledger(settings))
    if by_receipt(pipeline, files, settings, new_classes):
        return
    check_label_files(schema, iter_arrivals(files))
    keep_quiet(settings)
    from flows.learn_continuously import learn_continuously

    learn_continuously(pipeline=str(pipeline), sources=[str(file) for file in files], home=str(settings.home))


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
    from monitoring.backtest_page import write_backtest_page
    from monitoring.backtest_terminal import backtest_table

    prices = Prices(price_training, price_sample, price_point)
    result = run_backtest(pipeline, source, batch_rows, learning, prices, settings_at(home).home, processes)
    console.print(backtest_table(result))
    write_result(result, report, html, write_backtest_page)
    return result

"""The commands about predictions and what they stand on: predict, explain, verify."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from commands.opening import console, settings_at


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
    predicted = predict_file(pipeline, settings_at(home), file, target, datetime.now(UTC))
    console.print(f"{predicted.frame.height:,} predictions of version {predicted.version}: {target}")
    console.print(f"where the first comes from: lehr explain {predicted.frame['prediction_id'][0]}")


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

    settings = settings_at(home)
    ledger = open_ledger(settings)
    place = find_prediction(ledger, settings.home, prediction_id)
    receipt = receipt_of(ledger, place, None if given is None else read_arrival(given))
    lines = [json.dumps(receipt, indent=2)] if as_json else receipt_lines(receipt)
    console.print("\n".join(lines), markup=False, soft_wrap=True)


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
    from deployments.pipeline_files import load_pipeline
    from deployments.verification import verify

    settings = settings_at(home)
    ledger = open_ledger(settings)
    known = ledger.pipelines()
    names = known if pipeline is None else [load_pipeline(pipeline).name]
    if not known or not set(names) <= set(known):
        raise ValueError(
            f"nothing to verify under {settings.home}: its ledger knows {', '.join(known) or 'no pipeline'}"
        )
    found = verify(ledger, settings.home, names, expect)
    for line in found.lines:
        console.print(line, markup=False, soft_wrap=True)
    if found.changes:
        sys.exit(1)

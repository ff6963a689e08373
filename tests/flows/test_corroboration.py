"""Another meaning of the target through the real flow: the first batch that says so waits, the second bears it out."""

from itertools import islice
from pathlib import Path

from data.scenario import Scenario
from data.stream import line_batches
from flows.learn_continuously import learn_continuously

ROWS, CHANGED = 400, 5


def test_a_changed_meaning_goes_live_with_the_second_batch_that_says_so(pipeline: Path, tmp_path: Path) -> None:
    pipeline.write_text(pipeline.read_text().replace("{kind: rows, count: 1}", "{kind: rows, count: 700}"))
    event = {"kind": "concept", "defect": "crack", "strength": 3.0, "start": (CHANGED - 1) * ROWS}
    scenario = Scenario.model_validate({"seed": 3, "events": [event]})
    files = [tmp_path / f"{number}.csv" for number in range(1, CHANGED + 2)]
    for file, batch in zip(files, islice(line_batches(scenario, ROWS), len(files)), strict=True):
        batch.rows.write_csv(file)
    home, early = str(tmp_path / "home"), [str(file) for file in files[: CHANGED - 1]]
    for sources, action in ((early, "update"), ([str(files[CHANGED - 1])], "update")):
        report = learn_continuously(pipeline=str(pipeline), sources=sources, home=home, action=action)
    first = report["batches"][-1]
    assert not first["promoted"]
    failed = {check["name"]: check["text"] for check in first["gate"]["checks"] if not check["passed"]}
    assert "waits for a second" in failed["corroboration"]
    second = learn_continuously(pipeline=str(pipeline), sources=[str(files[CHANGED])], home=home)["batches"][-1]
    assert second["decision"]["action"] == "update"
    assert second["promoted"]

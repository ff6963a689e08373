import importlib.util

import pytest

from benchmarks.pipelines import PIPELINE, drop
from deployments.settings import Settings
from flows.learn_fleet import learn_fleet
from tasks.fleet import fleet_runner

RUNNERS = (
    "threads",
    pytest.param("processes", marks=pytest.mark.torture),
    pytest.param(
        "dask",
        marks=[
            pytest.mark.torture,
            pytest.mark.skipif(
                importlib.util.find_spec("prefect_dask") is None, reason="no dask: pip install 'lehr[dask]'"
            ),
        ],
    ),
)


@pytest.mark.parametrize("runner", RUNNERS)
def test_one_that_fails_does_not_stop_the_others(prefect_server, tmp_path, runner):
    home, files = tmp_path / "home", [tmp_path / f"p{number}.yaml" for number in range(3)]
    for number, file in enumerate(files):
        file.write_text(PIPELINE.format(name=file.stem))
        drop(home, file.stem, number)
    files[1].write_text(files[1].read_text() + "colour: red\n")
    fleet = learn_fleet.with_options(task_runner=fleet_runner(Settings(home=home, fleet_runner=runner)))
    with pytest.raises(RuntimeError, match=r"(?s)1 of 3 pipelines failed:.*p1\.yaml: ValueError: .*colour"):
        fleet([str(file) for file in files], str(home))
    assert [len(list((home / file.stem / "inbox" / "taken").glob("*"))) for file in files] == [1, 0, 1]

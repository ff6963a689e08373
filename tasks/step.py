"""A step of the loop: a Prefect task whose result is written to the ledger's journal once."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import TypeAdapter

from deployments.line import AnyLine
from deployments.outcomes import Batch

Inputs = ParamSpec("Inputs")
Result = TypeVar("Result")
LineT = TypeVar("LineT", bound=AnyLine)


def step(
    name: str, result: type[Result] | Any
) -> Callable[
    [Callable[Concatenate[LineT, Batch, Inputs], Result]], Callable[Concatenate[LineT, Batch, Inputs], Result]
]:
    """Make a function of (line, batch, …) a journalled task.

    A run that died goes on after its last written step: where the journal holds the step's result, the function is
    not called again. A string among the first input (the rung of the ladder) becomes part of the step's name.
    """
    adapter: TypeAdapter[Result] = TypeAdapter(result)

    def wrap(
        function: Callable[Concatenate[LineT, Batch, Inputs], Result],
    ) -> Callable[Concatenate[LineT, Batch, Inputs], Result]:
        @wraps(function)
        def journalled(line: LineT, batch: Batch, *args: Inputs.args, **kwargs: Inputs.kwargs) -> Result:
            key = f"{name}:{args[0]}" if args and isinstance(args[0], str) else name
            written = line.ledger.step(line.config.name, batch.id, key)
            if written is not None:
                return adapter.validate_python(written.result)
            outcome = adapter.dump_python(function(line, batch, *args, **kwargs), mode="json")
            line.ledger.record_step(line.config.name, batch.id, key, outcome)
            return adapter.validate_python(outcome)

        return task(name=name, task_run_name=name + " {batch.name}", cache_policy=NO_CACHE)(journalled)

    return wrap

"""How often the work on one batch may die before a person has to look."""

from data.ledger import Ledger

MOST_ATTEMPTS = 20
"""In a row, without a step being finished in between."""


def count_attempt(ledger: Ledger, pipeline: str, batch_id: str) -> None:
    """Note that a batch or request is begun, or begun again.

    Raises ValueError where as many attempts have died, one after another, at the same step.
    """
    journal = ledger.journal(pipeline, batch_id)
    if "finish" in journal:
        return
    steps = list(journal)
    done = max((i for i, step in enumerate(steps) if not step.startswith("attempt:")), default=-1)
    in_vain = len(steps) - 1 - done
    if in_vain >= MOST_ATTEMPTS:
        after = f"after the step {steps[done]}" if done >= 0 else "before its first step"
        raise ValueError(f"{pipeline}: {in_vain} runs died {after} of {batch_id[:12]}; see their logs, then remove it")
    made = sum(step.startswith("attempt:") for step in steps)
    ledger.record_step(pipeline, batch_id, f"attempt:{made + 1}", None)

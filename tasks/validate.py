"""Validate: what is structurally or physically wrong goes to quarantine, with its reason."""

from deployments.kinds import kind_of
from deployments.line import AnyLine
from deployments.outcomes import Batch, Validated
from tasks.show import show_validation
from tasks.step import step


@step("validate", Validated)
def validate_batch(line: AnyLine, batch: Batch) -> Validated:
    """Read the batch against the declared schema and the suite; stage what is sound."""
    validated = kind_of(line).validate(batch)
    show_validation(line, batch, validated)
    return validated

"""One rung of the ladder: from the champion and the stored rows to a candidate."""

from data.samples import Samples
from data.windows import classes_of, make_samples
from deployments.champions import Version, champion_of
from deployments.ladder import Rung
from deployments.line import Line
from deployments.outcomes import Batch
from learning.candidate import Candidate
from learning.learn import bootstrap, learns_from_history, patch, retrain, update
from learning.plan import LearningPlan
from learning.trainer import Progress


def learn(line: Line, batch: Batch, rung: Rung, progress: Progress | None) -> tuple[Candidate, list[str] | None] | None:
    """The candidate that a rung makes of all batches up to this one, and its classes.

    None where the rung has nothing to work with: no labelled rows, fewer than two classes, nothing to blend.
    """
    champion = champion_of(line)
    if champion is None or rung in ("bootstrap", "retrain"):
        return _from_history(line, batch, champion, progress)
    classes = champion.classes
    plan = plan_of(line, classes)
    since = 1 if learns_from_history(line.config.update) else champion.candidate.trained_through + 1
    new = training_samples(line, range(since, batch.number + 1), classes)
    if len(new) == 0:
        return None
    make = patch if rung == "patch" else update
    candidate = make(plan, champion.candidate, new) if rung == "patch" else update(plan, champion.candidate, new, progress)
    return None if candidate is None else (candidate, classes)


def _from_history(
    line: Line, batch: Batch, champion: Version | None, progress: Progress | None
) -> tuple[Candidate, list[str] | None] | None:
    """A first candidate, or a retrain of the champion; classes are all that the training rows hold."""
    classes = classes_of(line.store.read(split="train", columns=[line.schema.target]), line.schema)
    history = training_samples(line, range(1, batch.number + 1), classes)
    if len(history) == 0 or (classes is not None and len(classes) < 2):
        return None
    plan = plan_of(line, classes)
    if champion is None:
        return bootstrap(plan, history, progress), classes
    return retrain(plan, champion.candidate, history, progress), classes


def plan_of(line: Line, classes: list[str] | None) -> LearningPlan:
    """The pipeline's plan of learning for these classes."""
    config = line.config
    return LearningPlan(config.model, config.training, config.update, config.task, len(classes) if classes else 1)


def training_samples(line: Line, batches: range, classes: list[str] | None) -> Samples:
    """Labelled training samples of some batches."""
    frame = line.store.read(batches=batches, split="train")
    return make_samples(frame, line.schema, line.window_length, classes)

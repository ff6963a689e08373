from deployments.federated_drift import Summary, decide


def summary(node: str, drifted: bool = False, **shifts: float) -> Summary:
    return Summary(node, 100, drifted, shifts, "")


STILL = [summary(f"still-{number}", heat=0.02) for number in range(6)]


def test_nobody_where_nothing_moved() -> None:
    assert decide(STILL).groups == ()


def test_nodes_that_moved_the_same_way_learn_together() -> None:
    moved = [summary("b", True, heat=2.0, speed=0.1), summary("a", True, heat=1.0), summary("c", True, speed=-3.0)]
    learners = decide([*STILL, *moved])
    assert (learners.action, learners.groups) == ("cluster", (("a", "b"), ("c",)))
    assert learners.reason == "3 of 9 nodes moved: a, b; c"


def test_all_where_half_of_them_moved_the_same_way() -> None:
    learners = decide([*STILL[:2], summary("a", True, heat=1.0), summary("b", True, heat=3.0)])
    assert (learners.action, learners.groups) == ("all", (("a", "b", "still-0", "still-1"),))
    against = decide([*STILL[:2], summary("a", True, heat=1.0), summary("b", True, heat=-3.0)])
    assert (against.action, against.groups) == ("node", (("a",), ("b",)))


def test_a_node_that_changed_without_a_direction_is_alone() -> None:
    """Such as by its spread."""
    learners = decide([*STILL, summary("a", True, heat=0.01), summary("b", True, heat=0.02)])
    assert learners.groups == (("a",), ("b",))


def test_too_few_to_hide_one_another_do_not_learn_with_the_others() -> None:
    learners = decide([*STILL, summary("a", True, heat=1.0), summary("b", True, heat=1.1)], least_together=3)
    assert (learners.action, learners.groups) == ("none", ())
    assert "too few to hide one another" in learners.reason

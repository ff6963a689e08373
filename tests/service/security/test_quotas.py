from hypothesis import given
from hypothesis import strategies as st

from service.security.quotas import Quotas


@given(st.lists(st.floats(0, 20), min_size=1, max_size=300))
def test_never_more_than_a_minutes_worth_at_once_and_the_wait_is_long_enough(pauses: list[float]) -> None:
    now = [0.0]
    quotas = Quotas(30, lambda: now[0])
    made: list[float] = []
    for pause in pauses:
        now[0] += pause
        wait = quotas.seconds_to_wait("plant")
        if wait == 0:
            made.append(now[0])
        else:
            later = Quotas(30, lambda: now[0])
            later._buckets = dict(quotas._buckets)  # pyright: ignore[reportPrivateUsage]
            now[0] += wait
            assert later.seconds_to_wait("plant") == 0
            now[0] -= wait
    for start in made:
        assert sum(start <= at < start + 60 for at in made) <= 60


def test_tokens_do_not_pay_for_one_another() -> None:
    quotas = Quotas(1, lambda: 0.0)
    assert [quotas.seconds_to_wait(name) for name in ("a", "a", "b")] == [0, 60, 0]
    assert Quotas(None).seconds_to_wait("a") == 0

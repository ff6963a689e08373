import pytest

from deployments.requests import request_text

CHECKS = [
    {"passed": True, "text": "size: 1 MB; at most 100"},
    {"passed": False, "text": "threshold: 0.2; needed is 0.3"},
]
BASE = {"decision": {"action": "update", "reason": "a person asked for it"}, "champion": 2}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"gate": {"passed": True}, "promoted": True}, "version 2 is in production"),
        ({"gate": {"passed": True}, "conflict": "version 3 went live"}, "not promoted: version 3 went live"),
        ({"gate": {"passed": False, "checks": CHECKS}}, "refused: threshold: 0.2; needed is 0.3"),
        ({"gate": {"passed": True}, "approved": {"approve": False, "reason": "not today"}}, "not approved: not today"),
        ({"gate": None}, "nothing was judged"),
    ],
)
def test_what_became_of_a_request_is_said_with_its_reason(found, said):
    text = request_text({**BASE, "promoted": False, "conflict": None, "approved": None, **found})
    assert text.startswith("update: a person asked for it → ") and text.endswith(said)

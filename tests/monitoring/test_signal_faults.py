from benchmarks.fault_summary import SOUND, Planted, summary

MARGINS = {"element_recall_at_1": 0.02, "keypoint_mae": 0.1}


def test_sound_deliveries_are_no_faults() -> None:
    found = [
        Planted(SOUND, "", "promoted", {"element_recall_at_1": 0.03, "keypoint_mae": 0.0}),
        Planted("dead channel", "", "promoted", {"element_recall_at_1": 0.01, "keypoint_mae": 0.2}),
        Planted("one element", "", "not_worse, corroboration", None),
    ]
    told = summary(found, MARGINS)
    assert (told["faults"], told["promoted"], told["bad"]) == (2, 1, 1)
    assert told["kinds"][SOUND]["promoted"] == 1
    assert told["kinds"]["dead channel"]["most_lost"] == {"element_recall_at_1": 0.01, "keypoint_mae": 0.2}

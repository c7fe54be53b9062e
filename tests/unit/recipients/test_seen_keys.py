from __future__ import annotations

from mailblast.recipients.seen_keys import SeenKeys


def test_seen_keys_name_the_first_row_of_each_duplicate() -> None:
    with SeenKeys() as seen:
        assert seen.add([("a", 1), ("b", 2), ("a", 3)]) == {3: 1}
        assert seen.add([("c", 4), ("b", 5), ("a", 6)]) == {5: 2, 6: 1}
        assert seen.add([]) == {}


def test_seen_keys_take_more_than_one_statement_holds() -> None:
    with SeenKeys() as seen:
        assert seen.add([(f"key{row}", row) for row in range(2_345)]) == {}
        assert seen.add([("key7", 5_000), ("\ud800", 5_001), ("\ud800", 5_002)]) == {5_000: 7, 5_002: 5_001}

from __future__ import annotations

import os
import sqlite3
import stat
from hashlib import md5, sha256
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import RowFaultError, SuppressionError
from mailblast.recipients.suppression import FILE_NAME, SuppressionList
from mailblast.recipients.suppression_entry import Reason, SuppressionEntry, parse_subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY_S = 86_400.0
SHA = sha256(b"ada@example.com").hexdigest()
MD5 = md5(b"ada@example.com", usedforsecurity=False).hexdigest()


def an_entry(subject: str, reason: Reason = Reason.MANUAL, added_s: float = 1.0) -> SuppressionEntry:
    return SuppressionEntry(subject, reason, "a test", added_s)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ("Ada L. <ADA@example.com>", "ada@example.com"),
        ("@Example.com", "@example.com"),
        ("example.com", "@example.com"),
        ("bücher.example", "@xn--bcher-kva.example"),
        (SHA.upper(), f"sha256:{SHA}"),
        (f"SHA256:{SHA}", f"sha256:{SHA}"),
        (MD5, f"md5:{MD5}"),
    ],
)
def test_subject_is_kept_in_one_form(text: str, subject: str) -> None:
    assert subject == parse_subject(text)


@pytest.mark.parametrize("text", ["", "word", "a@b@c.de", f"md5:{SHA}", "@", "@nodot", "a b@c.de", "."])
def test_subject_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RowFaultError):
        parse_subject(text)


def test_no_list_suppresses_nobody_and_makes_no_file(tmp_path: Path) -> None:
    with SuppressionList(tmp_path / "home") as suppressions:
        assert suppressions.suppressed(["ada@example.com"]) == {}
        assert suppressions.remove(["ada@example.com"]) == 0
        assert list(suppressions.entries()) == []
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "subject",
    ["ada@example.com", "@example.com", f"sha256:{SHA}", f"md5:{MD5}"],
    ids=["address", "domain", "sha", "md5"],
)
def test_suppressed_finds_by_address_domain_and_hash_whatever_the_case(tmp_path: Path, subject: str) -> None:
    with SuppressionList(tmp_path) as suppressions:
        assert 1 == suppressions.add([an_entry(subject)])
        found = suppressions.suppressed(["ADA@example.com", "bob@example.org"])
    assert {"ADA@example.com": an_entry(subject)} == found


def test_suppressed_domain_covers_what_is_below_it_and_not_what_ends_alike(tmp_path: Path) -> None:
    with SuppressionList(tmp_path) as suppressions:
        suppressions.add([an_entry("@example.com")])
        found = suppressions.suppressed(["a@mail.example.com", "a@notexample.com", "a@com", "a@example.com.org"])
    assert ["a@mail.example.com"] == list(found)


def test_suppressed_prefers_the_address_to_its_domain(tmp_path: Path) -> None:
    with SuppressionList(tmp_path) as suppressions:
        suppressions.add([an_entry("@example.com"), an_entry("a@example.com", Reason.COMPLAINT)])
        assert Reason.COMPLAINT is suppressions.suppressed(["a@example.com"])["a@example.com"].reason


def test_suppressed_takes_thousands_at_once(tmp_path: Path) -> None:
    addresses = [f"user{number}@example.com" for number in range(2_345)]
    with SuppressionList(tmp_path) as suppressions:
        suppressions.add(map(an_entry, addresses[::2]))
        assert addresses[::2] == list(suppressions.suppressed(addresses))


def test_entry_of_another_process_counts_at_once(tmp_path: Path) -> None:
    with SuppressionList(tmp_path) as ours, SuppressionList(tmp_path) as theirs:
        assert ours.suppressed(["a@example.com"]) == {}
        theirs.add([an_entry("a@example.com")])
        assert "a@example.com" in ours.suppressed(["a@example.com"])
        theirs.remove(["a@example.com"])
        assert ours.suppressed(["a@example.com"]) == {}


def test_add_keeps_what_is_there_and_remove_says_how_many(tmp_path: Path) -> None:
    with SuppressionList(tmp_path) as suppressions:
        suppressions.add([an_entry("a@example.com", Reason.COMPLAINT)])
        assert 1 == suppressions.add([an_entry("a@example.com"), an_entry("b@example.com")])
        assert [Reason.COMPLAINT, Reason.MANUAL] == [entry.reason for entry in suppressions.entries()]
        assert 1 == suppressions.remove(["a@example.com", "c@example.com"])
        assert ["b@example.com"] == [entry.subject for entry in suppressions.entries()]


def test_add_that_fails_adds_nothing(tmp_path: Path) -> None:
    def broken() -> SuppressionEntry:
        raise ValueError

    with SuppressionList(tmp_path) as suppressions:
        suppressions.add([an_entry("a@example.com")])
        with pytest.raises(ValueError):
            suppressions.add(an_entry("b@example.com") if number == 0 else broken() for number in range(2))
        assert ["a@example.com"] == [entry.subject for entry in suppressions.entries()]


@pytest.mark.parametrize(
    ("days", "suppressed"),
    [([0, 1, 2], False), ([0, 3, 7], True), ([0, 0, 7], False), ([0, 7], False), ([0, 5, 9, 9], True)],
)
def test_soft_bounces_suppress_when_they_go_on(tmp_path: Path, days: list[int], suppressed: bool) -> None:  # noqa: FBT001 - a table
    with SuppressionList(tmp_path) as suppressions:
        for day in days:
            suppressions.note_soft_bounce("Ada@example.com", time_s=day * DAY_S, source="bounces")
        assert suppressed == bool(suppressions.suppressed(["ada@example.com"]))


def test_soft_bounces_start_anew_after_removal(tmp_path: Path) -> None:
    with SuppressionList(tmp_path) as suppressions:
        results = [
            suppressions.note_soft_bounce("a@example.com", time_s=day * DAY_S, source="") for day in (0, 4, 8, 9)
        ]
        assert [False, False, True, False] == results
        suppressions.remove(["a@example.com"])
        assert not suppressions.note_soft_bounce("a@example.com", time_s=10 * DAY_S, source="")


def test_list_is_private_and_leaves_no_draft(tmp_path: Path) -> None:
    with SuppressionList(tmp_path / "home") as suppressions:
        suppressions.add([an_entry("a@example.com")])
    path = tmp_path / "home" / FILE_NAME
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert not list(path.parent.glob("*.new"))


@pytest.mark.parametrize("damage", ["garbage", "foreign", "newer"])
def test_list_that_cannot_be_trusted_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / FILE_NAME
    with SuppressionList(tmp_path) as suppressions:
        suppressions.add([an_entry("a@example.com")])
    if damage == "garbage":
        for old in tmp_path.glob(f"{FILE_NAME}*"):
            old.unlink()
        path.write_bytes(b"no database" * 100)
    else:
        database = sqlite3.connect(path)
        database.execute("PRAGMA application_id = 7" if damage == "foreign" else "PRAGMA user_version = 9")
        database.close()
    with SuppressionList(tmp_path) as suppressions:
        with pytest.raises(SuppressionError, match=FILE_NAME):
            suppressions.suppressed(["a@example.com"])
        with pytest.raises(SuppressionError, match=FILE_NAME):
            suppressions.add([an_entry("b@example.com")])


def test_list_in_a_folder_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("", encoding="ascii")
    with SuppressionList(tmp_path / "home") as suppressions, pytest.raises(SuppressionError, match="home"):
        suppressions.add([an_entry("a@example.com")])


def test_two_that_make_the_list_at_once_share_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def after_another(source: Path, target: Path) -> None:
        with SuppressionList(tmp_path / "first") as first:
            first.add([an_entry("first@example.com")])
        link(tmp_path / "first" / FILE_NAME, target)
        link(source, target)

    with SuppressionList(tmp_path) as suppressions:
        (tmp_path / "first").mkdir()
        calls: list[Callable[[Path, Path], None]] = [link, after_another]

        def next_call(source: Path, target: Path) -> None:
            # The inner list takes the second call.
            calls.pop()(source, target)

        monkeypatch.setattr(os, "link", next_call)
        suppressions.add([an_entry("a@example.com")])
        assert ["a@example.com", "first@example.com"] == [entry.subject for entry in suppressions.entries()]

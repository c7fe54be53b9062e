from __future__ import annotations

from pathlib import Path

import pytest

from mailblast.errors import JournalError, UsageError
from mailblast.journal.folder import CampaignFolder, list_campaigns, segment_process


@pytest.mark.parametrize("name", ["a", "welcome-list", "2024.05_x", "_x", "-x", "a" * 100])
def test_campaign_name_that_is_a_file_name_is_taken(name: str) -> None:
    assert Path("home") / name == CampaignFolder(Path("home"), name).path


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a b", "ä", "a\n", "a\0", "a" * 101, "a:b", "٣"])
def test_campaign_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="campaign name .* cannot be used"):
        CampaignFolder(Path("home"), name)


def test_make_creates_private_folders(tmp_path: Path) -> None:
    folder = CampaignFolder(tmp_path / "deep" / "home", "news")
    folder.make()
    folder.make()

    assert folder.home.stat().st_mode & 0o777 == 0o700
    assert folder.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("blocked", ["home", "home/news"])
def test_make_where_a_file_stands_is_an_error(tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("")

    with pytest.raises(JournalError, match=r"journal folder .* cannot be made: .*MAILBLAST_HOME"):
        CampaignFolder(tmp_path / "home", "news").make()


def test_segments_are_in_the_order_of_writing(tmp_path: Path) -> None:
    folder = CampaignFolder(tmp_path, "news")
    folder.make()
    names = ["segment-9-2.log", "segment-9-10.log", "segment-10-1.log"]
    for name in [*reversed(names), "segment-9-3.damaged", "segment-x-1.log", "segment-9-1.kept", "lock"]:
        (folder.path / name).write_text("")

    assert names == [path.name for path in folder.segments()]
    assert ["segment-9-2.log", "segment-9-10.log"] == [path.name for path in folder.segments_of(9)]
    assert ["segment-9-3.damaged"] == [path.name for path in folder.damaged_segments()]
    assert [9, 9, 10] == [segment_process(path) for path in folder.segments()]


def test_list_campaigns_names_those_with_a_journal(tmp_path: Path) -> None:
    for name in ("b", "a", "empty", ".hidden"):
        (tmp_path / name).mkdir()
        if name != "empty":
            (tmp_path / name / "journal.sqlite3").write_text("")

    assert ("a", "b") == list_campaigns(tmp_path)
    assert () == list_campaigns(tmp_path / "missing")

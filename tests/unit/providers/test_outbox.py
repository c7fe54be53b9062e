from __future__ import annotations

import errno
import mailbox
import os
import stat
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from servers.list_deliveries import ListDeliveries, a_message

from mailblast.errors import JournalError, ProviderUnavailableError
from mailblast.model.outcome import Disposition
from mailblast.providers.outbox import OutboxProvider, file_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "a" / "box"


@pytest.fixture
def provider(box: Path) -> OutboxProvider:
    return OutboxProvider(box, clock=FakeClock())


def inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def test_open_makes_a_private_maildir(provider: OutboxProvider, box: Path) -> None:
    await provider.open()
    folders = inside(box)
    assert ["cur", "new", "tmp"] == [path.name for path in folders]
    assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in (box, *folders)}
    assert [] == inside(box / "tmp")


async def test_deliver_writes_a_private_file_with_local_line_ends(provider: OutboxProvider, box: Path) -> None:
    deliveries = ListDeliveries([a_message(1, body=b"one\r\n.two\r\n")])
    await provider.deliver(deliveries)
    (path,) = inside(box / "new")
    assert b"From: sender@example.org\nSubject: message 1\n\none\n.two\n" == path.read_bytes()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    (attempt,) = deliveries.attempts[1]
    assert (Disposition.ACCEPTED, path.name) == (attempt.disposition, attempt.provider_id)
    assert attempt.reply is not None
    assert f"Written to {path}" == attempt.reply.text
    assert [] == inside(box / "tmp")


async def test_deliver_is_read_by_a_mail_reader(provider: OutboxProvider, box: Path) -> None:
    await provider.deliver(ListDeliveries([a_message(1), a_message(2)]))
    subjects = sorted(str(message["Subject"]) for message in mailbox.Maildir(box, create=False))
    assert ["message 1", "message 2"] == subjects


async def test_deliver_again_replaces_the_file(provider: OutboxProvider, box: Path) -> None:
    await provider.deliver(ListDeliveries([a_message(1)]))
    await provider.deliver(ListDeliveries([a_message(1, body=b"changed\r\n")]))
    (path,) = inside(box / "new")
    assert path.read_bytes().endswith(b"changed\n")


async def test_mark_is_on_file_before_the_message_is_in_new(provider: OutboxProvider, box: Path) -> None:
    deliveries = ListDeliveries([a_message(1)])
    seen: list[list[Path]] = []
    deliveries.on_commit = lambda: seen.append(inside(box / "new"))
    await provider.deliver(deliveries)
    assert [[]] == seen
    assert [("take", 1), ("begin", 1), ("commit", 0), ("finish", 1)] == deliveries.calls


async def test_commit_fails_leaves_no_file(provider: OutboxProvider, box: Path) -> None:
    deliveries = ListDeliveries([a_message(1)])

    def fail() -> None:
        raise JournalError("disk full")

    deliveries.on_commit = fail
    with pytest.raises(JournalError):
        await provider.deliver(deliveries)
    assert Disposition.NOT_SENT is deliveries.dispositions[1]
    assert [] == [path for folder in inside(box) for path in inside(folder)]


async def test_path_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ProviderUnavailableError, match=f"The outbox {folder} cannot be written.*in its way"):
            await OutboxProvider(folder, clock=FakeClock()).open()


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "Make it writable"), (errno.ENOSPC, "Free some space")])
async def test_write_fails_is_told_and_the_message_is_not_sent(
    number: int, remedy: str, provider: OutboxProvider, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await provider.open()

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("mailblast.providers.outbox.os.open", fail)
    deliveries = ListDeliveries([a_message(1), a_message(2)])
    with pytest.raises(ProviderUnavailableError, match=f"{os.strerror(number)}.*{remedy}"):
        await provider.deliver(deliveries)
    assert {1: Disposition.NOT_SENT} == deliveries.dispositions


async def test_disk_full_while_writing_leaves_no_file(
    provider: OutboxProvider, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await provider.open()
    monkeypatch.setattr("mailblast.providers.outbox.open", lambda *_args, **_named: _full(), raising=False)
    deliveries = ListDeliveries([a_message(1)])
    with pytest.raises(ProviderUnavailableError, match="No space left"):
        await provider.deliver(deliveries)
    assert Disposition.NOT_SENT is deliveries.dispositions[1]
    assert [] == inside(box / "tmp")


def _full() -> object:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_symbolic_link_in_tmp_is_not_followed(provider: OutboxProvider, box: Path, tmp_path: Path) -> None:
    await provider.open()
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (box / "tmp" / file_name(a_message(1))).symlink_to(victim)
    with pytest.raises(ProviderUnavailableError):
        await provider.deliver(ListDeliveries([a_message(1)]))
    assert "kept" == victim.read_text()


def test_file_name_hostile_message_id_is_a_plain_name() -> None:
    names = {
        file_name(a_message(1)._replace(message_id=text)) for text in ("<../../etc/x@y>", "<a\0b>", "<\ud800>", "")
    }
    assert 4 == len(names)
    assert all(name.replace(".", "").isalnum() for name in names)


async def test_probe_tells_the_folder(provider: OutboxProvider, box: Path) -> None:
    ((name, text),) = await provider.probe()
    assert "connect" == name
    assert str(box) in text

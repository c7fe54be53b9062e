"""Commands as they are sent."""

from __future__ import annotations

from mailblast.executors.queue.commands import Command, Script, load, packed


def test_commands_are_packed_by_the_length_of_their_bytes() -> None:
    commands = [Command(("SET", "käse", 12)), Command((b"GET", b"\r\n", ""))]
    sent = b"*3\r\n$3\r\nSET\r\n$5\r\nk\xc3\xa4se\r\n$2\r\n12\r\n*3\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n$0\r\n\r\n"
    assert sent == packed(commands)
    assert b"" == packed([])


def test_script_is_called_by_its_name_and_known_for_when_that_is_lost() -> None:
    # As sha1sum tells it.
    sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    for text in ("return 1", b"return 1"):
        call = Script(text).call(["key"], ["argument", 7])
        assert Command((b"EVALSHA", sha, 1, "key", "argument", 7), b"return 1") == call
    assert (b"SCRIPT", b"LOAD", b"return 1") == load(call.script).words

from __future__ import annotations

import email.policy
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser

import pytest

from mailblast.errors import RowFaultError
from mailblast.message import headers
from mailblast.message.headers import check_address, encode_mailbox, encode_unstructured, format_date
from mailblast.model.campaign import Mailbox

EMOJI = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}"


def read_back(line: bytes) -> tuple[str, str]:
    """Unfold by RFC 5322 and decode by RFC 2047, with the older and more reliable of the two decoders."""
    ((name, value),) = BytesHeaderParser(policy=email.policy.compat32).parsebytes(line + b"\r\n").items()
    return name, str(make_header(decode_header(value.replace("\r\n", ""))))


@pytest.mark.parametrize(
    "value",
    [
        "Hello Ada",
        "a  b   c",
        "Grüße aus Wien",
        "ein ganz langer Betreff mit Umlauten äöü, der bestimmt nicht auf eine einzige Zeile passt, wie man sieht",
        EMOJI * 40,
        "שלום עולם, ברוכים הבאים",
        "日本語の件名" * 20,
        "x" * 300 + "é",
        "word " * 60 + "end",
        " leading and trailing ",
        "=?UTF-8?Q?=0A?=Bcc: x@y",
        "=?utf-8?q?=3D?=",
        "50% off = now? _yes_",
    ],
)
def test_unstructured_value_reads_back_exactly(value: str) -> None:
    line = encode_unstructured("Subject", value)

    assert ("Subject", value) == read_back(line)
    assert line.isascii()
    assert line.endswith(b"\r\n")
    assert max(map(len, line.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("value", ["ä" * 500, EMOJI * 100, "aé" * 300, "x" * 71 + "é", "=?" * 100])
def test_encoded_words_keep_their_length_and_split_between_characters(value: str) -> None:
    for line in encode_unstructured("Subject", value).removesuffix(b"\r\n").split(b"\r\n"):
        word = line.removeprefix(b"Subject:").strip()
        assert len(word) <= 75
        assert len(line) <= 76
        ((decoded, charset),) = decode_header(word.decode())
        assert charset == "utf-8"
        assert decoded.decode("utf-8")


def test_long_name_with_encoded_words_stays_within_the_hard_limit() -> None:
    name = "X-" + "a" * 70

    assert (name, "é" * 99) == read_back(encode_unstructured(name, "é" * 99))
    assert (name, "日本語" * 99) == read_back(encode_unstructured(name, "日本語" * 99))


def test_ascii_is_folded_at_blanks_and_nowhere_else() -> None:
    line = encode_unstructured("Subject", "word " * 30 + "end")

    assert all(len(piece) <= 78 for piece in line.split(b"\r\n"))
    assert b"=?" not in line
    assert ("Subject: " + "word " * 30 + "end").encode() == line.replace(b"\r\n", b"")


@pytest.mark.parametrize(("length", "fits"), [(989, True), (990, False), (5000, False)])
def test_first_word_beside_the_name_fits_up_to_998(length: int, fits: bool) -> None:  # noqa: FBT001 - a table
    if fits:
        assert 998 == len(encode_unstructured("Subject", "w" * length).removesuffix(b"\r\n"))
    else:
        with pytest.raises(RowFaultError, match="998"):
            encode_unstructured("Subject", "w" * length)


@pytest.mark.parametrize(("length", "fits"), [(996, True), (997, True), (998, False), (999, False)])
def test_later_word_fits_up_to_998_with_its_blank(length: int, fits: bool) -> None:  # noqa: FBT001 - a table
    value = "a " + "w" * length
    if fits:
        assert ("Subject", value) == read_back(encode_unstructured("Subject", value))
    else:
        with pytest.raises(RowFaultError, match="998"):
            encode_unstructured("Subject", value)


@pytest.mark.parametrize(
    "bad", ["\r\nBcc: x@y", "\n", "\r", "\0", "\t", "\x0b", "\x1f", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]
)
@pytest.mark.parametrize("around", ["a{}b", "é{}b", "{}"])
def test_control_character_in_value_is_refused(bad: str, around: str) -> None:
    with pytest.raises(RowFaultError, match="control character"):
        encode_unstructured("Subject", around.format(bad))
    with pytest.raises(RowFaultError, match="control character") as caught:
        encode_mailbox("To", Mailbox(around.format(bad), "a@example.com"))
    assert "name" == caught.value.column


@pytest.mark.parametrize("name", ["", "Subject\r\nBcc", "Sub ject", "Sübject", "Subject:", "x" * 77])
def test_header_name_of_other_characters_is_refused(name: str) -> None:
    with pytest.raises(RowFaultError, match="no header name"):
        encode_unstructured(name, "value")


def test_overlong_values_are_refused() -> None:
    with pytest.raises(RowFaultError, match="16000"):
        encode_unstructured("Subject", "a b" * 6000)
    with pytest.raises(RowFaultError, match="16000") as caught:
        encode_mailbox("To", Mailbox("a b" * 6000, "a@example.com"))
    assert "name" == caught.value.column


@pytest.mark.parametrize("length", [60, 80, 200, 900])
def test_list_unsubscribe_is_one_plain_address(length: int) -> None:
    address = "<https://example.com/u?t=?" + "a" * (length - 27) + ">"
    value = f"{address}, <mailto:u@example.com>"
    line = encode_unstructured("List-Unsubscribe", value)

    assert address.encode() in line
    assert f"List-Unsubscribe: {value}\r\n".encode() == line.replace(b"\r\n ", b" ")


def test_list_unsubscribe_beyond_ascii_is_refused() -> None:
    with pytest.raises(RowFaultError, match="percent-encoded"):
        encode_unstructured("List-Unsubscribe", "<https://exämple.com>")


def test_list_id_may_hold_encoded_words() -> None:
    assert ("List-Id", "Grüße <l.example.com>") == read_back(encode_unstructured("List-Id", "Grüße <l.example.com>"))


@pytest.mark.parametrize(
    ("display_name", "expected"),
    [
        ("", b"To: ada@example.com\r\n"),
        ("Ada", b"To: Ada <ada@example.com>\r\n"),
        ("Ada Lovelace", b"To: Ada Lovelace <ada@example.com>\r\n"),
        ("Lovelace, Ada", b'To: "Lovelace, Ada" <ada@example.com>\r\n'),
        ('Ada "L" \\ x', b'To: "Ada \\"L\\" \\\\ x" <ada@example.com>\r\n'),
        ("J. Doe", b'To: "J. Doe" <ada@example.com>\r\n'),
        ("a  b", b'To: "a  b" <ada@example.com>\r\n'),
        ("x@y.example", b'To: "x@y.example" <ada@example.com>\r\n'),
        ("Bob <bob@evil.example>", b'To: "Bob <bob@evil.example>" <ada@example.com>\r\n'),
        ("Zoë", b"To: =?utf-8?q?Zo=C3=AB?= <ada@example.com>\r\n"),
    ],
)
def test_mailbox_is_written_as_its_name_demands(display_name: str, expected: bytes) -> None:
    assert expected == encode_mailbox("To", Mailbox(display_name, "ada@example.com"))


@pytest.mark.parametrize(
    "display_name",
    ['Company, "The Best" ' * 20, "Überlänge " * 30 + "Ende", EMOJI * 30, "=?utf-8?q?=0A?= Bcc", "w" * 500, "a" * 60],
)
def test_long_or_odd_display_name_reads_back_and_keeps_the_address_apart(display_name: str) -> None:
    line = encode_mailbox("To", Mailbox(display_name, "ada@example.com"))
    _, value = read_back(line)

    assert f"{display_name} <ada@example.com>" == value
    assert line.isascii()
    assert all(len(piece) <= 78 for piece in line.split(b"\r\n"))


def test_long_address_stands_on_its_own_line() -> None:
    address = f"{'a' * 64}@{'b' * 60}.example"

    assert f"To: Ada\r\n <{address}>\r\n".encode() == encode_mailbox("To", Mailbox("Ada", address))


@pytest.mark.parametrize(
    "address",
    ["a@b", "a.b+c@example.com", "o'neil@example.com", '"a b"@example.com', "ä@xn--bcher-kva.example", "a@[192.0.2.1]"],
)
def test_address_that_may_be_written_passes(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "@b",
        "a@",
        "a b@c.d",
        "a@b.c>",
        "a@b.c> NOTIFY=NEVER",
        "a@b.c\r\nRCPT TO:<x@y.z>",
        "a@b.c\n",
        "a@bü.c",
        "a\u2028@b.c",
        "a\x85@b.c",
        "a\ud800@b.c",
        "a,b@c.d",
        "a(b)@c.d",
        "<a@b.c>",
        '"a\n"@b.c',
        "a@b,c",
        "a@-b",
        "x" * 251 + "@b.c",
        "ä" * 130 + "@b.c",
    ],
)
def test_address_that_would_break_a_header_is_refused(address: str) -> None:
    with pytest.raises(RowFaultError) as caught:
        check_address(address)
    assert "email" == caught.value.column


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (1_751_367_157, "Tue, 01 Jul 2025 10:52:37 +0000"),
        (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 +0000"),
    ],
)
def test_date_is_written_in_utc(seconds: int, expected: str) -> None:
    assert expected == format_date(seconds)


@pytest.mark.parametrize("address", ["ann@example.com", "a.b+c@x-1.test", "a..b@x.y", '"a b"@x.test', "a@[127.0.0.1]"])
@pytest.mark.parametrize(
    "display_name",
    ["Ann", "Ann B. Cole", "Ann Cole", "=?utf-8?q?x?=", "a=?b", "Ann  Cole", " Ann", "A" * 41, "A" * 60, "Ann\\", "É"],
)
def test_mailbox_written_the_short_way_is_what_the_long_way_writes(
    display_name: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = Mailbox(display_name, address)
    short = encode_mailbox("To", mailbox)
    monkeypatch.setattr(headers, "_PLAIN_MAILBOX", lambda _: None)
    assert encode_mailbox("To", mailbox) == short

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.errors import UsageError
from mailblast.model.secret import Secret
from mailblast.providers.dsn import Dsn, parse_dsn, split_dsns


@pytest.mark.parametrize(
    ("text", "dsn"),
    [
        ("outbox", Dsn("outbox")),
        ("outbox:mail/out?box", Dsn("outbox", path="mail/out?box")),
        ("OUTBOX:/var/spool/x", Dsn("outbox", path="/var/spool/x")),
        ("smtp", Dsn("smtp")),
        (" smtp://mx.example.com ", Dsn("smtp", host="mx.example.com")),
        ("smtp://mx.example.com/", Dsn("smtp", host="mx.example.com")),
        ("smtp://u@mx.example.com:587", Dsn("smtp", "u", None, "mx.example.com", 587)),
        ("SMTPS://u:p@h:465", Dsn("smtps", "u", Secret("p"), "h", 465)),
        ("smtp://me@example.org@mx.example.com:587", Dsn("smtp", "me@example.org", None, "mx.example.com", 587)),
        ("smtp://me%40example.org:p%3Aw%40%2F%25@h", Dsn("smtp", "me@example.org", Secret("p:w@/%"), "h")),
        ("smtp://u:a:b@h", Dsn("smtp", "u", Secret("a:b"), "h")),
        ("smtp://u:a/b?c#d@h:25", Dsn("smtp", "u", Secret("a/b?c#d"), "h", 25)),
        ("smtp://u:@h", Dsn("smtp", "u", None, "h")),
        ("smtp://[::1]:2525", Dsn("smtp", host="::1", port=2525)),
        ("smtp://u@[2001:db8::1]", Dsn("smtp", "u", None, "2001:db8::1")),
        ("smtp://[fe80::1%eth0]:25", Dsn("smtp", host="fe80::1%eth0", port=25)),
        ("smtp://h?tls=none&final-timeout=30", Dsn("smtp", host="h", options={"tls": "none", "final-timeout": "30"})),
        ("smtp://u@h:25?ca=/etc/a@b.pem", Dsn("smtp", "u", None, "h", 25, {"ca": "/etc/a@b.pem"})),
        ("smtp://h?ca=%2Fa%20b", Dsn("smtp", host="h", options={"ca": "/a b"})),
    ],
)
def test_parse_dsn_reads_every_part(text: str, dsn: Dsn) -> None:
    assert dsn == parse_dsn(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "'the text' is no kind of provider.*smtp://user@host:587"),
        ("smpt://h", "'smpt:' is no kind of provider. Did you mean 'smtp'.*outbox:DIR"),
        ("gopher://h", "'gopher:' is no kind.*Known are"),
        ("mail example", "'the text' is no kind"),
        ("smtps", "'smtps' names no host"),
        ("smtp:h", "not followed by '//'"),
        ("smtp://", "names no host"),
        ("smtp://u@", "names no host"),
        ("smtp://:p@h", "password but no user"),
        ("smtp://h:", "host of the DSN is not"),
        ("smtp://h:0", "number from 1 to 65535"),
        ("smtp://h:65536", "number from 1 to 65535"),
        ("smtp://h:587x", "number from 1 to 65535"),
        ("smtp://h:٣", "number from 1 to 65535"),
        ("smtp://h h", "host of the DSN is not"),
        ("smtp://h\r\nx", "host of the DSN is not"),
        ("smtp://-h", "host of the DSN is not"),
        ("smtp://[::1", "host of the DSN is not"),
        ("smtp://[::1]x", "host of the DSN is not"),
        ("smtp://h/path", "host of the DSN is not"),
        ("smtp://u%0d%0a@h", "user name of the DSN holds a control character"),
        ("smtp://u:%ff@h", "password of the DSN is not UTF-8"),
        ("smtp://h?tsl=none", "'tsl' of the DSN is not known to smtp. Did you mean 'tls'.*helo"),
        ("smtp://h?Ü=1", "An option of the DSN is not known"),
        ("smtp://h?tls", "'tls' of the DSN has no value"),
        ("smtp://h?tls=", "'tls' of the DSN has no value"),
        ("smtp://h?tls=none&tls=none", "'tls' of the DSN is given twice"),
        ("outbox:", "not followed by a folder"),
        ("outbox://x", "not followed by a folder"),
        ("outbox:a\0b", "NUL"),
    ],
)
def test_parse_dsn_what_is_wrong_is_named(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        parse_dsn(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("outbox", "outbox"),
        ("outbox:a b", "outbox:a b"),
        ("smtp", "smtp"),
        ("smtp://u:s3cret@h:25?helo=a&ca=/x", "smtp://u:***@h:25?helo=a&ca=/x"),
        ("smtp://me@example.org@[::1]", "smtp://me%40example.org@[::1]"),
        ("smtps://h", "smtps://h"),
    ],
)
def test_shown_holds_everything_but_the_password(text: str, shown: str) -> None:
    dsn = parse_dsn(text)
    assert shown == dsn.shown()
    assert "s3cret" not in repr(dsn)


@given(
    st.text("s3cret@:/?#[]%&= \\", max_size=12),
    st.sampled_from(["h:25", "h:", "h:x", "h?x=1", "[h", "h?tls=1&tls=2", ""]),
)
def test_password_is_in_no_message_whatever_is_wrong(noise: str, rest: str) -> None:
    shown = ""
    try:
        dsn = parse_dsn(f"smtp://user:Pa55{noise}Pa55@{rest}")
        shown = dsn.shown() + repr(dsn)
    except UsageError as error:
        shown = str(error)
    assert "Pa55" not in shown


@pytest.mark.parametrize(
    ("text", "dsn"),
    [
        ("gmail", Dsn("gmail")),
        ("gmail://", Dsn("gmail")),
        ("GMail://ada@example.com", Dsn("gmail", "ada@example.com")),
        ("gmail://ada@example.com/", Dsn("gmail", "ada@example.com")),
        ("gmail://ada%40example.com", Dsn("gmail", "ada@example.com")),
        ("gmail://ada@example.com@", Dsn("gmail", "ada@example.com")),
        ("gmail://ada@example.com:pw@", Dsn("gmail", "ada@example.com", Secret("pw"))),
        ("gmail://ada@example.com:a@b:c%2F@", Dsn("gmail", "ada@example.com", Secret("a@b:c/"))),
        ("sendgrid-smtp://?messages=9", Dsn("sendgrid-smtp", options={"messages": "9"})),
        (
            "microsoft365://ada@example.com?helo=a.example",
            Dsn("office365", "ada@example.com", options={"helo": "a.example"}),
        ),
        ("ses-smtp://AKIA?region=eu-west-1", Dsn("ses-smtp", "AKIA", options={"region": "eu-west-1"})),
    ],
)
def test_parse_dsn_preset_is_all_user(text: str, dsn: Dsn) -> None:
    assert dsn == parse_dsn(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("gmail:ada@example.com", "'gmail:' is not followed by '//'. Write gmail://you@example.com"),
        ("gmail://ada@example.com:587", "more than a user: it has no host and no port"),
        ("gmail://ada@example.com:secret", "more than a user"),
        ("gmail://ada@example.com/secret", "more than a user"),
        ("gmail://:secret@", "more than a user"),
        ("gmail://ada@example.com?tls=none", "Option 'tls' of the DSN is not known to gmail"),
        ("gmail://ada@example.com?region=eu", "Option 'region' of the DSN is not known to gmail"),
        ("gmial://ada@example.com", "'gmial:' is no kind of provider. Did you mean 'gmail'"),
        ("gopher://h", "Known are: outbox:DIR.*gmail://, .*office365://"),
        ("gmail://ada%0Aexample", "user name of the DSN holds a control character"),
    ],
)
def test_parse_dsn_preset_that_cannot_be_read_names_the_remedy(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        parse_dsn(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gmail", "gmail"),
        ("gmail://", "gmail"),
        ("gmail://ada@example.com:pw@", "gmail://ada@example.com:***@"),
        ("gmail://ada%3Fx@example.com?messages=9", "gmail://ada%3Fx@example.com?messages=9"),
        ("sendgrid-smtp://?messages=9", "sendgrid-smtp://?messages=9"),
    ],
)
def test_shown_preset_hides_the_password_and_can_be_read_again(text: str, shown: str) -> None:
    assert shown == parse_dsn(text).shown()
    assert shown == parse_dsn(shown).shown()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtp", ["smtp"]),
        (" smtp  ses ", ["smtp", "ses"]),
        ("smtp://a\nsmtps://b@c", ["smtp://a", "smtps://b@c"]),
        ("gmail://ada@example.com sendgrid", ["gmail://ada@example.com", "sendgrid"]),
        ("ses gmail", ["ses", "gmail"]),
        ("outbox:my  dir", ["outbox:my  dir"]),
        ("outbox:my dir outbox:b", ["outbox:my dir", "outbox:b"]),
        ("smtp://a smpt://b", ["smtp://a", "smpt://b"]),
        ("smtp://u:pass w:ord@h", ["smtp://u:pass w:ord@h"]),
    ],
)
def test_split_dsns_takes_apart_what_begins_like_one(text: str, expected: list[str]) -> None:
    assert expected == split_dsns(text)

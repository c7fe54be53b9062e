"""Signatures, list headers, style sheets and pictures, as the user of ``bulk``, ``send`` and ``verify`` meets them."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest
from signing import URL, pem, rsa_key, verified
from words import a_list, a_template, body_of, json_of, sent

from mailblast.cli.app import run
from mailblast.message.unsubscribe import Unsubscribed, verify_token
from mailblast.model.secret import Secret

HTML = """<html><head><title>Hello {{ name }}</title><link rel="stylesheet" href="mail.css"></head>
<body><img src="logo.png" alt="Fernhill"><p>Dear {{ name }}</p><a href="{{ unsubscribe_url }}">Leave</a></body></html>
"""
SECRET = "a secret of its own"
LINKS = ("--unsubscribe", URL, "--unsubscribe", "mailto:leave@example.com")
SIGNED = ("--from", "team@example.com", "--dkim", "rsa@example.com", "--dkim-key", "dkim.pem")


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBLAST_UNSUBSCRIBE_SECRET", SECRET)
    a_template(HTML)
    a_list()
    Path("mail.css").write_text("p { color: red }\na:hover { color: blue }\n")
    Path("logo.png").write_bytes(
        b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
    )
    Path("dkim.pem").write_text(pem(rsa_key()))
    Path("dkim.pem").chmod(0o600)


def html_of(number: int = 0) -> str:
    part = sent()[number].get_body(("html",))
    assert part is not None
    return str(part.get_content())


def test_bulk_signs_names_the_list_and_shows_the_link(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run(["bulk", "list.csv", "-t", "welcome.html", *SIGNED, *LINKS, "--list-id", "news.example.com"])
    ann, bob = sent()
    link = str(ann["List-Unsubscribe"]).partition(">")[0].removeprefix("<")

    assert [[True], [True]] == [verified(path.read_bytes()) for path in Path("outbox/new").iterdir()]
    assert Unsubscribed("news.example.com", "ann@example.com") == verify_token(Secret(SECRET), link.rpartition("/")[2])
    assert link in body_of(ann)
    assert f'<a href="{link}">' in html_of()
    assert link not in body_of(bob)
    assert ("List-Unsubscribe=One-Click", "<news.example.com>") == (ann["List-Unsubscribe-Post"], ann["List-Id"])
    assert "mailblast: " in capsys.readouterr().err


def test_bulk_moves_styles_and_sends_pictures_along() -> None:
    assert 0 == run(["bulk", "list.csv", "-t", "welcome.html", *LINKS, "-q"])
    pictures = [part for part in sent()[0].walk() if part.get_content_type() == "image/png"]

    assert '<p style="color: red;">Dear Ann</p>' in html_of()
    assert "a:hover" in html_of()
    assert f'src="cid:{str(pictures[0]["Content-ID"])[1:-1]}"' in html_of()
    assert 1 == len(pictures)


def test_bulk_leaves_styles_alone_where_asked() -> None:
    assert 0 == run(["bulk", "list.csv", "-t", "welcome.html", *LINKS, "-q", "--no-inline-css"])

    assert "<p>Dear Ann</p>" in html_of()
    assert "<style>p { color: red }" in html_of()


def test_dry_run_shows_the_links_and_test_to_signs(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run(["bulk", "list.csv", "-t", "welcome.html", *SIGNED, *LINKS, "--dry-run"])
    assert "List-Unsubscribe: <https://example.com/leave/" in capsys.readouterr().out
    assert 0 == run(["bulk", "list.csv", "-t", "welcome.html", *SIGNED, *LINKS, "--test-to", "me@example.com"])
    (path,) = Path("outbox/new").iterdir()

    assert [True] == verified(path.read_bytes())


def test_send_signs_and_sends_pictures_along() -> None:
    words = ["send", "--to", "ann@example.com", "-t", "welcome.html", "--var", "name=Ann", "-q"]
    assert 0 == run([*words, *SIGNED, *LINKS, "--auto-submitted", "--feedback-id", "a:b:c:example"])
    (path,) = Path("outbox/new").iterdir()
    (message,) = sent()

    assert [True] == verified(path.read_bytes())
    assert ("auto-generated", "a:b:c:example") == (message["Auto-Submitted"], message["Feedback-ID"])
    assert 'src="cid:' in html_of()
    assert str(message["List-Unsubscribe"])[1:].partition(">")[0] in html_of()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--unsubscribe", "http://example.com/{{ token }}"], "https"),
        (["--unsubscribe", "https://example.com/unsubscribe"], "{{ token }}"),
        (["--list-id", "news"], "--list-id"),
        (["--dkim", "example.com"], "SELECTOR@DOMAIN"),
        (["--dkim", "rsa@example.com", "--dkim-key", "none.pem"], "none.pem"),
        (["--dkim", "rsa@example.com", "--dkim-key", "mail.css"], "no private key"),
    ],
)
@pytest.mark.parametrize("command", ["bulk list.csv -t welcome.html", "send --to ann@example.com --text t -s s"])
def test_what_cannot_be_honoured_is_code_2_and_records_nothing(
    command: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == run([*command.split(), *words])

    assert said in capsys.readouterr().err
    assert not Path(".mailblast").exists()
    assert not Path("outbox").exists()


def test_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MAILBLAST_UNSUBSCRIBE_SECRET")
    assert 2 == run(["bulk", "list.csv", "-t", "welcome.html", *LINKS])

    assert "MAILBLAST_UNSUBSCRIBE_SECRET is not set" in capsys.readouterr().err


def test_template_that_shows_a_link_nobody_makes_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == run(["bulk", "list.csv", "-t", "welcome.html"])

    assert "--unsubscribe" in capsys.readouterr().err


def test_column_of_that_name_is_a_link_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.csv").write_text("email,name,unsubscribe_url\nann@example.com,Ann,https://example.com/own\n")
    assert 0 == run(["bulk", "list.csv", "-t", "welcome.html"])

    assert "--unsubscribe" not in capsys.readouterr().err
    assert "https://example.com/own" in html_of()


def test_picture_that_is_not_there_is_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logo.png").unlink()
    assert 3 == run(["bulk", "list.csv", "-t", "welcome.html", *LINKS])

    assert "logo.png" in capsys.readouterr().err


def test_verify_knows_the_link_and_names_what_nobody_would_see(capsys: pytest.CaptureFixture[str]) -> None:
    a_template(HTML.replace("Dear", '<a href="/about">About</a> <img src="data:image/png;base64,A">'))
    assert 0 == run(["verify", "list.csv", "-t", "welcome.html", "--json"])
    checks = {check["id"]: check["level"] for check in json_of(capsys)["checks"]}

    expected = {
        "template.compiles": "ok",
        "template.link": "warning",
        "template.image_data": "warning",
        "template.unsubscribe": "info",
        "list.rows": "ok",
    }
    assert expected.items() <= checks.items()


@pytest.mark.parametrize(
    ("link", "code"), [(URL, 0), ("https://example.com/{{ plan }}", 0), ("https://e.example/{{ x }}", 1)]
)
def test_verify_fills_the_link_for_each_row(link: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert code == run(["verify", "list.csv", "-t", "welcome.html", "--unsubscribe", link])

    assert bool(code) == ("column 'x'" in capsys.readouterr().out)


def test_verify_weighs_the_html_with_its_styles_moved(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mail.css").write_text(f"p {{ font-family: '{'x' * 400}' }}\n")
    a_template(HTML.replace("<p>Dear {{ name }}</p>", "<p>a</p>\n" * 300))
    assert 0 == run(["verify", "-t", "welcome.html"])

    assert "template.size" in capsys.readouterr().out

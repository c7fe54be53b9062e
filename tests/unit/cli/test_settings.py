from __future__ import annotations

from pathlib import Path

import pytest

from mailblast.cli.settings import Settings
from mailblast.errors import UsageError


def settings_of(environment: dict[str, str] | None = None) -> Settings:
    return Settings(environment or {}, Path.cwd())


def test_settings_without_files_are_the_environment() -> None:
    settings = settings_of({"SMTP_HOST": "a.test", "SMTP_USER": ""})
    assert settings.text("SMTP_HOST") == "a.test"
    assert settings.text("SMTP_USER") is None
    assert Path(".mailblast") == settings.home


def test_settings_precedence_is_flag_environment_env_file_toml() -> None:
    Path("mailblast.toml").write_text(
        'from = "toml@x.test"\nhome = "toml"\n[smtp]\nhost = "toml.test"\nport = 1\nuser = "toml"\n', encoding="utf-8"
    )
    Path(".env").write_text("SMTP_HOST=env.test\nSMTP_PORT=2\nMAILBLAST_FROM=env@x.test\n", encoding="utf-8")
    settings = settings_of({"SMTP_HOST": "process.test"})
    assert settings.text("SMTP_HOST", "flag.test") == "flag.test"
    assert settings.text("SMTP_HOST") == "process.test"
    assert settings.text("SMTP_PORT") == "2"
    assert settings.text("SMTP_USER") == "toml"
    assert settings.text("MAILBLAST_FROM") == "env@x.test"
    assert Path("toml") == settings.home


def test_env_file_values_are_taken_literally() -> None:
    Path(".env").write_text("SMTP_PASSWORD='a$b${c}#d'\n", encoding="utf-8")
    assert settings_of({"b": "x", "c": "y"}).text("SMTP_PASSWORD") == "a$b${c}#d"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('form = "a@x.test"', "Did you mean 'from'"),
        ('[smtp]\npasword = "x"', "Did you mean 'password'"),
        ('zzzz = "x"', "Known are: "),
        ("rate = 1.5", "neither text nor"),
        ("rate = true", "neither text nor"),
        ("smtp = 5", "is no setting"),
        ("[from]\nx = 1", "neither text nor"),
        ("= 5", "cannot be read"),
    ],
)
def test_toml_with_a_mistake_is_refused_with_its_name(toml: str, said: str) -> None:
    Path("mailblast.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(UsageError, match=said) as raised:
        settings_of()
    assert "mailblast.toml" in str(raised.value)


def test_files_that_are_not_utf8_are_refused() -> None:
    Path("mailblast.toml").write_bytes(b'from = "\xe4"')
    with pytest.raises(UsageError, match="mailblast.toml cannot be read"):
        settings_of()
    Path("mailblast.toml").unlink()
    Path(".env").write_bytes(b"SMTP_USER=\xe4")
    with pytest.raises(UsageError, match=".env cannot be read"):
        settings_of()


def test_toml_list_is_several_values() -> None:
    Path("mailblast.toml").write_text('rate = ["14/s", "1000/h"]', encoding="utf-8")
    assert settings_of().text("MAILBLAST_RATE") == "14/s 1000/h"


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_password_file_that_others_may_read_is_warned_of(mode: int, warned: bool) -> None:  # noqa: FBT001 - a table
    path = Path(".env")
    path.write_text("SMTP_PASSWORD=x\n", encoding="utf-8")
    path.chmod(mode)
    assert warned == bool(settings_of().warnings)


def test_number_falls_back_from_flag_to_setting_to_none() -> None:
    settings = settings_of({"MAILBLAST_BATCHES": "7"})
    assert settings.number("MAILBLAST_BATCHES", 3) == 3
    assert settings.number("MAILBLAST_BATCHES", None) == 7
    assert settings.number("MAILBLAST_CONNECTIONS", None) is None


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "²"])
def test_number_of_another_form_is_refused_with_its_source(text: str) -> None:
    with pytest.raises(UsageError, match="MAILBLAST_BATCHES in the environment"):
        settings_of({"MAILBLAST_BATCHES": text}).number("MAILBLAST_BATCHES", None)


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ("MAILBLAST_VAI=outbox:x", "did you mean MAILBLAST_VIA?"),
        ("SMTP_PASS=x", "did you mean SMTP_PASSWORD?"),
        ("SMTP_ZZZZZZZZZZ=x", "known are"),
    ],
)
def test_misspelt_name_in_the_env_file_is_warned_of(content: str, warning: str) -> None:
    Path(".env").write_text(content, encoding="utf-8")
    assert warning in "".join(settings_of().warnings)


def test_misspelt_name_of_ours_in_the_environment_is_warned_of() -> None:
    assert settings_of({"MAILBLAST_RATES": "1/s", "SMTP_ANYTHING": "of another program"}).warnings == [
        "MAILBLAST_RATES in the environment is no setting; did you mean MAILBLAST_RATE?"
    ]


def test_transports_of_the_toml_file_are_there_by_name() -> None:
    text = '[transports]\nnews = "smtp://a"\n"bills 2" = "ses"\n'
    Path("mailblast.toml").write_text(text, encoding="utf-8")
    assert {"news": "smtp://a", "bills 2": "ses"} == settings_of().transports


def test_transports_that_are_no_text_are_refused() -> None:
    Path("mailblast.toml").write_text("[transports]\nnews = true\n", encoding="utf-8")
    with pytest.raises(UsageError, match="'news' in mailblast.toml is neither text"):
        settings_of()


@pytest.mark.parametrize(("dsn", "warned"), [("smtp://ada:secret@h", True), ("smtp://ada@h:587?max-age=5", False)])
def test_transports_with_a_password_that_others_may_read_are_warned_of(dsn: str, *, warned: bool) -> None:
    path = Path("mailblast.toml")
    path.write_text(f'[transports]\nnews = "{dsn}"\n', encoding="utf-8")
    path.chmod(0o644)
    assert warned is bool(settings_of().warnings)
    assert "secret" not in "".join(settings_of().warnings)

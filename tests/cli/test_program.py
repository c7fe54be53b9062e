"""The installed program as a process: start-up, completion, the README."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mailblast.cli.app import run
from mailblast.cli.commands import COMMANDS as ALL_COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEAVY = ("boto3", "botocore", "sendgrid", "rich", "aiosmtplib", "jinja2", "dns", "email_validator", "uvloop", "sqlite3")
COMMANDS = [f"{each.group} {each.name}".strip() for each in ALL_COMMANDS if each.module]


def unmeasured() -> dict[str, str]:
    """Return the environment without what starts the measuring of coverage."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def program(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mailblast", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_help_imports_no_provider_sdk_and_nothing_heavy() -> None:
    code = (
        "import sys\nfrom mailblast.cli.app import run\ncode = run(['--help'])\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), code, file=sys.stderr)"
    )
    # Measuring coverage imports sqlite3 by itself.
    done = subprocess.run(
        [sys.executable, "-c", code], env=unmeasured(), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[] 0"
    assert "Usage" in done.stdout


def test_smtp_run_imports_no_other_provider() -> None:
    Path("list.csv").write_text("email\na@example.com\n", encoding="utf-8")
    Path("t.txt").write_text("Subject: x\n\nx\n", encoding="utf-8")
    code = (
        "import sys\nfrom mailblast.cli.app import run\n"
        "code = run(['bulk', 'list.csv', '-t', 't.txt', '-q', '--via', 'smtp://127.0.0.1:1', '--from', 'a@b.test'])\n"
        "print({'boto3', 'sendgrid', 'rich', 'dns', 'mailblast.providers.outbox'} & set(sys.modules), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set() 4"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_stands_in_the_readme(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--help"]) == 0
    told = capsys.readouterr().out
    assert f"mailblast {command}" in told
    assert "Example" in told
    assert f"mailblast {command}" in README


def test_every_option_of_bulk_is_documented_and_tested(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bulk", "--help"]) == 0
    options = set(re.findall(r"(--[a-z][a-z-]+)", capsys.readouterr().out)) - {"--help"}
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    untested = {option for option in options if f'"{option}"' not in tests and f"{option} " not in tests}
    assert untested == set()


def test_help_shows_every_command_on_one_line() -> None:
    lines = program("--help").stdout.splitlines()
    for each in ALL_COMMANDS:
        if not each.group:
            assert f"  {each.name:<12}  {each.help}" in lines


def test_completion_knows_the_options_of_every_command() -> None:
    words = {"_MAILBLAST_COMPLETE": "complete_bash", "COMP_WORDS": "mailblast suppress add --rea", "COMP_CWORD": "3"}
    done = program(env={**os.environ, **words})
    assert "--reason" in done.stdout


def test_version_is_the_packages() -> None:
    assert re.fullmatch(r"mailblast \d+\.\d+\.\d+\n", program("--version").stdout)


def test_completion_can_be_shown() -> None:
    done = program("--show-completion", "bash", env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert "_MAILBLAST_COMPLETE" in done.stdout


@pytest.mark.parametrize("words", ["recommend --volume 5", "bulk none.csv -t t.md --json"])
def test_output_into_a_closed_pipe_leaves_no_traceback(words: str) -> None:
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m mailblast {words} | head -c 0",
        shell=True, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("bulk",), "Missing argument 'LIST'."),
        (("bulk", "list.csv", "-t", "t.md", "--limit", "0"), "Invalid value for '--limit'"),
        (("status", "--nonsense"), "No such option: --nonsense"),
        (("nonsense",), "No such command 'nonsense'."),
    ],
)
def test_wrong_words_are_told_as_json_where_that_is_asked_for(
    words: tuple[str, ...], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert 2 == told["exit_code"]
    assert told["error"].startswith(error)
    assert error in err
    assert run([*words]) == 2
    assert "" == capsys.readouterr().out


def test_wrong_words_end_the_program_with_code_two() -> None:
    done = program("bulk", "--json")
    assert 2 == done.returncode == json.loads(done.stdout)["exit_code"]
    assert "Missing argument 'LIST'." in done.stderr


def test_error_shows_its_traceback_only_with_debug() -> None:
    assert "Traceback" not in program("bulk", "missing.csv", "-t", "missing.html").stderr
    assert "Traceback" in program("bulk", "missing.csv", "-t", "missing.html", "--debug").stderr


def readme_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_readme_examples_run_as_they_stand() -> None:
    Path("sample_lists").symlink_to(ROOT / "sample_lists")
    Path("templates").symlink_to(ROOT / "templates")
    Path("bin").mkdir()
    Path("bin/mailblast").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mailblast "$@"\n', encoding="utf-8")
    Path("bin/mailblast").chmod(0o755)
    environment = {**os.environ, "PATH": f"{Path('bin').resolve()}:{os.environ['PATH']}"}
    for block in readme_blocks():
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", block], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (0, "") == (done.returncode, "" if not done.returncode else done.stderr), block


def test_repository_names_no_machine_and_no_registry() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    # Written in pieces, so that this file does not name them.
    forbidden = re.compile("/wor[k]/|/roo[t]/|pythonhoste[d]|npmj[s]\\.|://[^ ]*/simpl[e]\\b")
    for name in tracked.stdout.split("\n"):
        path = ROOT / name
        if name and path.is_file() and (text := path.read_bytes().decode("utf-8", "replace")):
            assert forbidden.search(text) is None, name

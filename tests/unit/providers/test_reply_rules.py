from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import UsageError
from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.smtp.classify import REMEMBERED, Classifier, classifier
from mailblast.providers.smtp.reply_rules import MAX_FILE_BYTES, built_in_rules, load_rules, parse_rules

if TYPE_CHECKING:
    from pathlib import Path

NO_SUCH_USER = Reply(550, "5.1.1", "No such user", Stage.RCPT)


def rules(text: str) -> Classifier:
    return Classifier("mx.example.com", parse_rules(text.encode(), "own.toml"))


def test_built_in_rules_name_their_sources() -> None:
    assert len(built_in_rules()) > 40
    assert all(rule.source for rule in built_in_rules())


def test_built_in_rules_are_read_once() -> None:
    assert built_in_rules() is built_in_rules()


def test_import_of_the_provider_parses_no_rules() -> None:
    code = (
        "import mailblast.providers.smtp.provider, mailblast.providers.registry;"
        "from mailblast.providers.smtp.reply_rules import built_in_rules;"
        "print(built_in_rules.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "0" == done.stdout.strip()


def test_own_rule_is_asked_before_the_built_in_ones() -> None:
    judge = rules('[[rule]]\nscope = "account"\npermanence = "temporary"\nadvice = "tomorrow"\ntext = "no such"')
    assert (Disposition.TEMPORARY, Scope.ACCOUNT, Advice.TOMORROW) == judge(NO_SUCH_USER)


def test_own_rule_that_does_not_match_leaves_the_built_in_ones() -> None:
    judge = rules('[[rule]]\nscope = "account"\ntext = "something else"')
    assert (Disposition.PERMANENT, Scope.RECIPIENT, Advice.NONE) == judge(NO_SUCH_USER)


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ('code = "550"', True),
        ('code = "55"', False),
        ('enhanced = "5.1.1"', True),
        ('enhanced = "5.1"', False),
        ('text = "SUCH user$"', True),
        ('text = "^user"', False),
        ('host = "example"', True),
        ('host = "example.org"', False),
        ('stages = ["mail", "rcpt"]', True),
        ('stages = ["body"]', False),
    ],
)
def test_condition_of_a_rule_decides(condition: str, *, matches: bool) -> None:
    judge = rules(f'[[rule]]\nscope = "domain"\n{condition}')
    assert matches is (judge(NO_SUCH_USER).scope is Scope.DOMAIN)


@pytest.mark.parametrize(("code", "advice"), [(450, Advice.SLOW_DOWN), (550, Advice.NONE)])
def test_slow_down_counts_for_temporary_refusals_only(code: int, advice: Advice) -> None:
    judge = rules('[[rule]]\nscope = "domain"\nadvice = "slow_down"\ncode = "[45]50"')
    assert advice is judge(Reply(code, "", "", Stage.RCPT)).advice


def test_unknown_stage_is_about_the_message() -> None:
    assert (Disposition.PERMANENT, Scope.MESSAGE, Advice.NONE) == Classifier()(Reply(599, "", "", Stage.RSET))


def test_classifier_remembers_a_bounded_number_of_refusals() -> None:
    judge = Classifier()
    for detail in range(REMEMBERED + 5):
        assert Scope.RECIPIENT is judge(Reply(550, f"5.1.{detail + 100}", "", Stage.RCPT)).scope
    assert len(judge._remembered) <= REMEMBERED


def test_classifier_is_shared_by_the_sessions_of_a_server() -> None:
    assert classifier("mx.example.com") is classifier("mx.example.com")


def test_rules_are_picklable() -> None:
    assert built_in_rules() == pickle.loads(pickle.dumps(built_in_rules()))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[[rule]\n", r"own.toml are no TOML: .*line 1"),
        ("", r"own.toml hold no \[\[rule\]\]"),
        ('rule = "x"', r"own.toml hold no \[\[rule\]\]"),
        ("rule = [1]", r"own.toml hold no \[\[rule\]\]"),
        ('[[rules]]\nscope = "domain"', r"own.toml hold 'rules'. Begin each rule with \[\[rule\]\]"),
        ('[[rule]]\nscpe = "domain"', "'scpe' of rule 1 of own.toml is not known. Did you mean 'scope'"),
        ('[[rule]]\nzzz = "domain"', "'zzz' of rule 1 of own.toml is not known. Known are: scope"),
        ('[[rule]]\ncode = "550"', "'scope' of rule 1 of own.toml is missing. Give one of: recipient"),
        ('[[rule]]\nscope = "domain"', "no condition in rule 1 of own.toml.*Give at least one of: code"),
        (
            '[[rule]]\nscope = "domian"\ncode = "550"',
            "'scope' of rule 1 of own.toml is 'domian'. Did you mean 'domain'",
        ),
        (
            '[[rule]]\nscope = "domain"\ncode = "550"\n[[rule]]\nscope = "domain"\ncode = "5(50"',
            "'code' of rule 2 of own.toml is no regular expression: missing \\)",
        ),
        ('[[rule]]\nscope = "domain"\ncode = 550', "'code' of rule 1 of own.toml is no text. Put it in quotes"),
        ('[[rule]]\nscope = "domain"\ncode = "5"\nadvice = "later"', "'advice' of rule 1.*Known are: none, slow_down"),
        ('[[rule]]\nscope = "domain"\ncode = "5"\npermanence = "soft"', "'permanence' of rule 1.*is 'soft'.*temporary"),
        ('[[rule]]\nscope = "domain"\nstages = "mail"', r"'stages' of rule 1.*Write it like stages = \["),
        ('[[rule]]\nscope = "domain"\nstages = []', "'stages' of rule 1 of own.toml is no list"),
        ('[[rule]]\nscope = "domain"\nstages = ["rcptt"]', "'stages' of rule 1.*is 'rcptt'. Did you mean 'rcpt'"),
        ('[[rule]]\nscope = "domain"\nstages = [1]', "'stages' of rule 1.*is '1'"),
    ],
)
def test_parse_rules_broken_file_names_file_rule_key_and_remedy(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        parse_rules(text.encode(), "own.toml")
    assert caught.value.fix


def test_parse_rules_other_encoding_is_told() -> None:
    with pytest.raises(UsageError, match=r"own.toml are no TOML: 'utf-8' codec"):
        parse_rules(b'[[rule]]\nscope = "domain"\ntext = "\xfc"', "own.toml")


def test_load_rules_reads_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nscope = "domain"\ncode = "550"\nsource = "our relay\'s manual"')
    (rule,) = load_rules(file)
    assert (Scope.DOMAIN, "our relay's manual") == (rule.scope, rule.source)


def test_load_rules_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing.toml cannot be read: No such file.*MAILBLAST_REPLY_RULES"):
        load_rules(tmp_path / "missing.toml")


def test_load_rules_huge_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(UsageError, match="longer than 1,000,000 bytes"):
        load_rules(file)

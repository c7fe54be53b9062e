"""Which refusals are about whom: rules from a data file, and from a file of the user's own in front of it.

The built-in file is parsed when the first refusal is to be classified: a run without one never reads it. A file of the
user's own is read at the start, so that what is wrong with it is told before anything is sent.
"""

from __future__ import annotations

import difflib
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mailblast.errors import UsageError
from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

BUILT_IN = "reply_rules.toml"
CONDITIONS = ("code", "enhanced", "text", "host", "stages")
KEYS = ("scope", "permanence", "advice", *CONDITIONS, "source")
PERMANENCE = {"temporary": Disposition.TEMPORARY, "permanent": Disposition.PERMANENT}
#: Verbs whose refusals are classified.
STAGES = tuple(stage for stage in Stage if stage not in {Stage.RSET, Stage.QUIT, Stage.REQUEST})
#: Longest file of rules that is read.
MAX_FILE_BYTES = 1_000_000

Choice = TypeVar("Choice", bound="StrEnum")


class Rule(NamedTuple):
    """Refusals of one kind. What a rule leaves open matches anything; the first rule that matches decides."""

    scope: Scope
    #: None follows the first digit.
    disposition: Disposition | None = None
    advice: Advice = Advice.NONE
    #: Of the whole reply code.
    code: re.Pattern[str] | None = None
    #: Of the whole enhanced status code.
    enhanced: re.Pattern[str] | None = None
    #: Somewhere in the text.
    text: re.Pattern[str] | None = None
    #: Somewhere in the server's name.
    host: re.Pattern[str] | None = None
    #: Verbs; none given is any.
    stages: frozenset[Stage] = frozenset()
    #: Where it is written down.
    source: str = ""


@functools.cache
def built_in_rules() -> tuple[Rule, ...]:
    """Return the rules that come with the program."""
    return parse_rules(Path(__file__).with_name(BUILT_IN).read_bytes(), BUILT_IN)


def load_rules(extra_path: str | Path) -> tuple[Rule, ...]:
    """Read a file of the user's own rules; they are asked before the built-in ones.

    Args:
        extra_path: A file in the form of ``reply_rules.toml``.

    Raises:
        UsageError: It cannot be read, or a rule cannot be used; names file, rule and key.
    """
    path = Path(extra_path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"The reply rules {path} cannot be read: {error.strerror or error}.",
            fix="Check MAILBLAST_REPLY_RULES, or the option 'rules' of the DSN.",
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"The reply rules {path} are longer than {MAX_FILE_BYTES:,} bytes.", fix="Shorten the file.")
    return parse_rules(data, str(path))


def parse_rules(data: bytes, name: str) -> tuple[Rule, ...]:
    """Read rules from the bytes of a file.

    Args:
        data: TOML with ``[[rule]]`` tables.
        name: The file, for messages.

    Raises:
        UsageError: A rule cannot be used; names file, rule (from 1) and key.
    """
    import tomllib  # noqa: PLC0415 - only needed once there are rules to read

    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"The reply rules {name} are no TOML: {error}.", fix="Correct the file there.") from error
    tables = document.pop("rule", None)
    if document or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        odd = f"hold '{next(iter(document))}'" if document else "hold no [[rule]]"
        raise UsageError(f"The reply rules {name} {odd}.", fix="Begin each rule with [[rule]] and give nothing else.")
    return tuple(_Reader(f"rule {number} of {name}", table).rule() for number, table in enumerate(tables, 1))


class _Reader:
    """One table of a file on its way to a rule.

    Args:
        where: Rule and file, for messages.
        table: As TOML gives it.
    """

    def __init__(self, where: str, table: Mapping[str, object]) -> None:
        self._where = where
        self._table = table

    def rule(self) -> Rule:
        """Return the rule; raises ``UsageError`` for what cannot be used."""
        for key in self._table:
            if key not in KEYS:
                close = difflib.get_close_matches(key, KEYS, 1)
                hint = f"Did you mean '{close[0]}'? " if close else ""
                raise UsageError(f"'{key}' of {self._where} is not known.", fix=f"{hint}Known are: {', '.join(KEYS)}.")
        if "scope" not in self._table:
            raise UsageError(f"'scope' of {self._where} is missing.", fix=f"Give one of: {', '.join(Scope)}.")
        if not any(key in self._table for key in CONDITIONS):
            raise UsageError(
                f"There is no condition in {self._where}: it would match every reply.",
                fix=f"Give at least one of: {', '.join(CONDITIONS)}.",
            )
        permanence = self._text("permanence")
        if permanence is not None and permanence not in PERMANENCE:
            raise self._unknown("permanence", permanence, tuple(PERMANENCE))
        return Rule(
            self._choice("scope", Scope) or Scope.MESSAGE,
            PERMANENCE[permanence] if permanence is not None else None,
            self._choice("advice", Advice) or Advice.NONE,
            code=self._pattern("code"),
            enhanced=self._pattern("enhanced"),
            text=self._pattern("text"),
            host=self._pattern("host"),
            stages=self._stages(),
            source=self._text("source") or "",
        )

    def _text(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is not None and not isinstance(value, str):
            raise UsageError(f"'{key}' of {self._where} is no text.", fix="Put it in quotes.")
        return value

    def _choice(self, key: str, choices: type[Choice]) -> Choice | None:
        value = self._text(key)
        if value is None:
            return None
        try:
            return choices(value)
        except ValueError:
            raise self._unknown(key, value, tuple(choices)) from None

    def _pattern(self, key: str) -> re.Pattern[str] | None:
        value = self._text(key)
        if value is None:
            return None
        try:
            return re.compile(value, re.IGNORECASE)
        except (re.error, RecursionError, OverflowError) as error:
            raise UsageError(
                f"'{key}' of {self._where} is no regular expression: {error}.",
                fix="Correct it; characters such as ( [ . * + ? that stand for themselves need a backslash.",
            ) from None

    def _stages(self) -> frozenset[Stage]:
        values = self._table.get("stages", [])
        if not isinstance(values, list) or ("stages" in self._table and not values):
            raise UsageError(
                f"'stages' of {self._where} is no list of verbs.",
                fix='Write it like stages = ["mail", "rcpt"].',
            )
        for value in values:
            if value not in STAGES:
                raise self._unknown("stages", str(value), STAGES)
        return frozenset(map(Stage, values))

    def _unknown(self, key: str, value: str, choices: tuple[str, ...]) -> UsageError:
        close = difflib.get_close_matches(value, choices, 1)
        hint = f"Did you mean '{close[0]}'? " if close else ""
        return UsageError(
            f"'{key}' of {self._where} is '{value}'.",
            fix=f"{hint}Known are: {', '.join(choices)}.",
        )

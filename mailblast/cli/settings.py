"""Settings from the environment, ``.env`` and ``mailblast.toml``; flags come from the commands and win.

The only place that reads any of these. All are brought to one form, the names of the environment, so that the
rest of the program sees one mapping.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONFIG_FILE = "mailblast.toml"
ENV_FILE = ".env"
#: Names in mailblast.toml and their names in the environment.
TOP_LEVEL = {
    name: f"MAILBLAST_{name.upper().replace('-', '_')}"
    for name in (
        "via",
        "from",
        "reply-to",
        "home",
        "rate",
        "domain-rate",
        "daily-cap",
        "warm-up",
        "connections",
        "messages-per-connection",
        "batch-size",
        "batches",
        "retry-for",
        "processes",
        "queue",
        "queue-lease",
        "unsubscribe",
        "unsubscribe-secret",
        "list-id",
        "feedback-id",
        "tmp",
        "alert-command",
        "alert-webhook",
        "metrics-file",
        "metrics-port",
        "token-command",
        "reply-rules",
        "dns",
    )
}
TABLES = {
    "sendgrid": {"api-key": "SENDGRID_API_KEY"},
    "smtp": {"host": "SMTP_HOST", "port": "SMTP_PORT", "user": "SMTP_USER", "password": "SMTP_PASSWORD"},
    "dkim": {
        name: f"MAILBLAST_DKIM_{name.upper().replace('-', '_')}"
        for name in ("domain", "selector", "key", "ed25519-selector", "ed25519-key")
    },
}
#: Table in mailblast.toml of DSNs by name.
TRANSPORTS = "transports"
SECRET_NAMES = frozenset(
    {
        "SMTP_PASSWORD",
        "SENDGRID_API_KEY",
        "MAILBLAST_UNSUBSCRIBE_SECRET",
        "MAILBLAST_ALERT_WEBHOOK",
        "MAILBLAST_DKIM_KEY",
        "MAILBLAST_DKIM_ED25519_KEY",
    }
)


_PASSWORD = re.compile(r"://[^/?]*:[^/?]+@")


class Settings:
    """One mapping of settings, with where each came from.

    Args:
        environment: Usually ``os.environ``; wins over the files.
        folder: Where ``.env`` and ``mailblast.toml`` are looked for; no parent folder is searched.

    Raises:
        UsageError: A file cannot be read, or holds a name that is not known.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.warnings: list[str] = []
        #: DSNs by the names that rows of a list may choose.
        self.transports: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self._sources: dict[str, str] = {}
        self._add(self._read_toml(folder / CONFIG_FILE), CONFIG_FILE)
        self._add(self._read_env_file(folder / ENV_FILE), ENV_FILE)
        # Other programs have settings that begin with SMTP_, too.
        self._warn_of_unknown(environment, "the environment", ("MAILBLAST_",))
        self._add({name: value for name, value in environment.items() if value}, "the environment")

    @classmethod
    def load(cls) -> Settings:
        """Read the settings of this process in the current folder."""
        return cls(os.environ, Path.cwd())

    def text(self, name: str, flag: str | None = None) -> str | None:
        """Return the flag where given, else the setting of that name, else None."""
        return flag if flag is not None else self.values.get(name)

    def number(self, name: str, flag: int | None) -> int | None:
        """Return the flag, else the setting as a whole number of at least 1, else None.

        Raises:
            UsageError: The setting is no such number.
        """
        if flag is not None:
            return flag
        text = self.values.get(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise UsageError(f"{name} in {self._sources[name]} is '{text}'.", fix="Give a whole number from 1 up.")
        return int(text)

    @property
    def home(self) -> Path:
        """The folder of the journals."""
        return Path(self.values.get("MAILBLAST_HOME", ".mailblast"))

    def _add(self, values: Mapping[str, str], source: str) -> None:
        self.values.update(values)
        self._sources.update(dict.fromkeys(values, source))

    def _read_env_file(self, path: Path) -> dict[str, str]:
        if not path.is_file():
            return {}
        from dotenv import dotenv_values

        try:
            # No interpolation: a password may hold a dollar sign.
            values = dotenv_values(path, interpolate=False, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path.name} cannot be read: {error}.", fix="Save it as UTF-8 text.") from error
        self._warn_if_open(path, values)
        self._warn_of_unknown(values, ENV_FILE, ("MAILBLAST_", "SMTP_"))
        return {name: value for name, value in values.items() if value}

    def _warn_of_unknown(self, names: Iterable[str], where: str, prefixes: tuple[str, ...]) -> None:
        """Point out names that look like ours and are none: a setting that is misspelt is a setting that is lost."""
        known = [*TOP_LEVEL.values(), *(name for table in TABLES.values() for name in table.values())]
        for name in names:
            if name.startswith(prefixes) and name not in known:
                close = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}."
                self.warnings.append(f"{name} in {where} is no setting; {hint}")

    def _read_toml(self, path: Path) -> dict[str, str]:
        if not path.is_file():
            return {}
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(
                f"{path.name} cannot be read: {error}.", fix="See https://toml.io for its form."
            ) from error
        values: dict[str, str] = {}
        for name, value in document.items():
            if isinstance(value, dict) and name == TRANSPORTS:
                self.transports = {inner: _as_text(inner, inner_value) for inner, inner_value in value.items()}
            elif isinstance(value, dict) and name in TABLES:
                for inner, inner_value in value.items():
                    values[_known(inner, TABLES[name], f"[{name}] of {path.name}")] = _as_text(inner, inner_value)
            else:
                values[_known(name, {**TOP_LEVEL, **dict.fromkeys(TABLES, "")}, path.name)] = _as_text(name, value)
        self._warn_if_open(path, values)
        return values

    def _warn_if_open(self, path: Path, values: Mapping[str, object]) -> None:
        has_key = any(str(value).lstrip().startswith("-----BEGIN") for value in values.values())
        # The URL of a queue may hold its password.
        has_key = has_key or "@" in str(values.get("MAILBLAST_QUEUE", ""))
        has_key |= path.name == CONFIG_FILE and any(map(_PASSWORD.search, self.transports.values()))
        if (has_key or SECRET_NAMES & set(values)) and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            self.warnings.append(f"{path.name} holds a password and others may read it. Do: chmod 600 {path.name}")


def _known(name: str, names: Mapping[str, str], where: str) -> str:
    if names.get(name):
        return names[name]
    close = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known are: {', '.join(sorted(names))}."
    raise UsageError(f"{where} holds '{name}', which is no setting.", fix=hint)


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return " ".join(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f"'{name}' in {CONFIG_FILE} is neither text nor a whole number.", fix=f'Write {name} = "…".')
    return str(value)

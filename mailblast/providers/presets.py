"""Mail services by name: servers and published limits, from a data file.

The file is read when a DSN has a scheme that is not built in, and for the list of what is known; never otherwise.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.providers.dsn import Dsn

BYTES_PER_MB = 1_000_000
REGION = re.compile(r"[a-z0-9]{2,}(?:[.-][a-z0-9]+){0,4}")


class Preset(NamedTuple):
    """One mail service."""

    name: str
    title: str
    #: With ``{region}`` where there is one server for each region.
    host: str
    port: int
    is_tls_implicit: bool
    #: Where it is written down; whether it was read there: vendor, second-hand or unread; the day (ISO 8601) or "".
    source: str
    trust: str
    date: str
    aliases: tuple[str, ...] = ()
    #: The usual one; empty where the service has none.
    region: str = ""
    #: The same for everybody; empty where it is not.
    user: str = ""
    #: Whether the server lets nobody send who has not logged in.
    needs_login: bool = True
    #: What it takes as password; empty where there is nothing special about it.
    note: str = ""
    #: What the service publishes; None where it publishes nothing.
    connections: int | None = None
    messages_per_connection: int | None = None
    rate_per_s: float | None = None
    per_day: int | None = None
    size_bytes: int | None = None

    @property
    def example(self) -> str:
        """How it is written."""
        return f"{self.name}://" if self.user or not self.needs_login else f"{self.name}://you@example.com"

    def smtp_dsn(self, dsn: Dsn, settings: Mapping[str, str]) -> Dsn:
        """Return the ``smtp`` or ``smtps`` DSN that one of this preset stands for.

        Args:
            dsn: Its own user and password come first.
            settings: ``SMTP_USER`` is taken where neither the DSN nor the service has a user.

        Raises:
            UsageError: The service needs a user and there is none, or the region is no name.
        """
        user = dsn.user or self.user or settings.get("SMTP_USER", "")
        if not user and self.needs_login:
            raise UsageError(
                f"{self.title.partition(',')[0]} needs a user and '{dsn.scheme}' names none.",
                fix=f"Write {self.example} or set SMTP_USER.",
            )
        options = dict(dsn.options)
        region = options.pop("region", self.region)
        if not REGION.fullmatch(region or "any"):
            raise UsageError(
                f"Option 'region' of the DSN is '{region}'.", fix=f"Give a name such as {self.region} in small letters."
            )
        return replace(
            dsn,
            scheme="smtps" if self.is_tls_implicit else "smtp",
            user=user,
            host=self.host.replace("{region}", region),
            port=self.port,
            options=MappingProxyType(options),
        )


def find_preset(name: str) -> Preset | None:
    """Return the preset of that name or alias, in small letters; None where there is none."""
    return _by_name().get(name)


def presets() -> tuple[Preset, ...]:
    """Return all presets, by name."""
    return tuple(preset for name, preset in sorted(_by_name().items()) if name == preset.name)


@functools.cache
def _by_name() -> Mapping[str, Preset]:
    import tomllib  # noqa: PLC0415 - see the module's docstring

    text = Path(__file__).with_name("presets.toml").read_text("utf-8")
    read = [_preset(name, table) for name, table in tomllib.loads(text).items()]
    return {name: preset for preset in read for name in (preset.name, *preset.aliases)}


def _preset(name: str, table: Mapping[str, Any]) -> Preset:
    rate_per_s = table.get("per_second")
    if "per_minute" in table:
        rate_per_s = table["per_minute"] / 60
    return Preset(
        name,
        table["title"],
        table["host"],
        table["port"],
        {"implicit": True, "starttls": False}[table["tls"]],
        table["source"],
        table["trust"],
        table["date"].isoformat() if "date" in table else "",
        aliases=tuple(table.get("aliases", ())),
        region=table.get("region", ""),
        user=table.get("user", ""),
        needs_login=table.get("login", True),
        note=table.get("note", ""),
        connections=table.get("connections"),
        messages_per_connection=table.get("messages_per_connection"),
        rate_per_s=rate_per_s,
        per_day=table.get("per_day"),
        size_bytes=table["size_mb"] * BYTES_PER_MB if "size_mb" in table else None,
    )

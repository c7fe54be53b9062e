"""A refusal: how lasting it is, whom it is about, and what it asks for."""

from __future__ import annotations

import functools
from typing import NamedTuple

from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.smtp.reply_rules import Rule, built_in_rules

#: Different refusals (code, status, verb) whose rules are remembered; servers use a few dozen.
REMEMBERED = 512


class Verdict(NamedTuple):
    """What a refusal comes to."""

    disposition: Disposition
    scope: Scope
    advice: Advice = Advice.NONE


class Classifier:
    """The rules as they apply to one server.

    Args:
        host: The server's name as configured.
        extra_rules: Asked before the built-in ones.
    """

    def __init__(self, host: str = "", extra_rules: tuple[Rule, ...] = ()) -> None:
        self._host = host
        self._extra_rules = extra_rules
        self._remembered: dict[tuple[int, str, Stage], list[Rule]] = {}

    def __call__(self, reply: Reply) -> Verdict:
        """Return what a refusal comes to.

        Args:
            reply: One that refuses, 4yz or 5yz.
        """
        key = (reply.code, reply.enhanced, reply.stage)
        rules = self._remembered.get(key)
        if rules is None:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            rules = self._remembered[key] = self._candidates(reply)
        text = reply.text
        by_digit = Disposition.TEMPORARY if str(reply.code).startswith("4") else Disposition.PERMANENT
        for rule in rules:
            if rule.text is None or rule.text.search(text) is not None:
                disposition = rule.disposition or by_digit
                unheard = rule.advice is Advice.SLOW_DOWN and disposition is Disposition.PERMANENT
                return Verdict(disposition, rule.scope, Advice.NONE if unheard else rule.advice)
        return Verdict(by_digit, Scope.MESSAGE)

    def _candidates(self, reply: Reply) -> list[Rule]:
        """Return the rules that all but the text speaks for."""
        code = str(reply.code)
        return [
            rule
            for rule in (*self._extra_rules, *built_in_rules())
            if (not rule.stages or reply.stage in rule.stages)
            and (rule.code is None or rule.code.fullmatch(code) is not None)
            and (rule.enhanced is None or rule.enhanced.fullmatch(reply.enhanced) is not None)
            and (rule.host is None or rule.host.search(self._host) is not None)
        ]


@functools.lru_cache(maxsize=16)
def classifier(host: str = "", extra_rules: tuple[Rule, ...] = ()) -> Classifier:
    """Return the classifier of a server; one and the same for all its sessions."""
    return Classifier(host, extra_rules)


def classify(reply: Reply) -> Verdict:
    """Return what a refusal of a server whose name does not matter comes to, by the built-in rules.

    Args:
        reply: One that refuses, 4yz or 5yz.
    """
    return classifier()(reply)

from __future__ import annotations

import pytest

from mailblast.checks.address_check import LARGE_DOMAINS, likely_meant, oddities


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ada@good-company.com", []),
        ("ada@gmail.com", []),
        ("ada@example.com", []),
        ("Info@good-company.com", ["address.role"]),
        ("no-reply+x@good-company.com", ["address.role"]),
        ("asdf@good-company.com", ["address.placeholder"]),
        ("ada@gmial.com", ["address.typo"]),
        ("ada@company.con", ["address.typo"]),
        ("ada@printer.local", ["address.reserved"]),
        ("ada@mailinator.com", ["address.disposable"]),
        ("józef@good-company.com", ["address.smtputf8"]),
        ("test@gmal.com", ["address.typo", "address.placeholder"]),
    ],
)
def test_oddities_are_named(address: str, expected: list[str]) -> None:
    assert expected == [oddity.id for oddity in oddities(address)]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmal.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gmall.com", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("outlok.com", "outlook.com"),
        ("yahoo.con", "yahoo.com"),
        ("company.com", ""),
        ("we.de", ""),
        ("a.b", ""),
        ("gamil.org", ""),
    ],
)
def test_likely_meant(typed: str, meant: str) -> None:
    assert meant == likely_meant(typed)


def test_large_domains_are_no_typos_of_each_other() -> None:
    assert not [domain for domain in LARGE_DOMAINS if likely_meant(domain)]

"""Checks against a name server with good and broken records."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from servers.dns_server import DnsServer

from mailblast.checks import dns_lookup, recipient_domain_check
from mailblast.checks.dkim_record import check_dkim
from mailblast.checks.dmarc import check_dmarc, walk
from mailblast.checks.dns_lookup import DnsLookup, Found
from mailblast.checks.domain_check import SendingDomain, SigningKey, check_domain
from mailblast.checks.recipient_domain_check import RecipientDomains
from mailblast.checks.spf import check_spf
from mailblast.errors import UsageError
from mailblast.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mailblast.checks.check import Check

MX = ["10 mx.good.org"]
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()


@contextmanager
def lookup(
    zone: Mapping[tuple[str, str], Sequence[str]], failing: Sequence[str] = (), silent: Sequence[str] = ()
) -> Iterator[DnsLookup]:
    server = DnsServer(zone, failing=failing, silent=silent)
    try:
        yield DnsLookup([server.address])
    finally:
        server.close()


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def published(key: rsa.RSAPrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def ids(checks: Sequence[Check]) -> list[tuple[str, str]]:
    return [(check.id, check.level.value) for check in checks]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_lookup, "LIFETIME_S", 0.6)
    monkeypatch.setattr(dns_lookup, "TIMEOUT_S", 0.3)


# The lookup.


async def test_lookup_tells_none_from_no_name_from_unknown() -> None:
    zone = {("a.org", "MX"): MX, ("b.org", "TXT"): ["one", "x" * 600]}
    with lookup(zone, failing=["fail.org"], silent=["silent.org"]) as dns:
        assert (Found.RECORDS, ("10 mx.good.org.",)) == (await dns.ask("A.org.", "MX"))[:2]
        assert {"one", "x" * 600} == set((await dns.ask("b.org", "TXT")).records)
        assert Found.NONE is (await dns.ask("a.org", "TXT")).found
        assert Found.NO_NAME is (await dns.ask("nowhere.org", "MX")).found
        assert Found.NO_NAME is (await dns.ask("x" * 70 + ".org", "MX")).found
        assert (Found.UNKNOWN, (), "the name servers failed (SERVFAIL)") == await dns.ask("fail.org", "MX")
        assert (Found.UNKNOWN, (), "no answer in time") == await dns.ask("silent.org", "MX")


async def test_lookup_asks_each_question_once() -> None:
    server = DnsServer({("a.org", "MX"): MX})
    try:
        dns = DnsLookup([server.address])
        for _ in range(3):
            await dns.ask("a.org", "MX")
        assert [("a.org", "MX")] == server.asked
    finally:
        server.close()


@pytest.mark.parametrize("server", ["name.example", "127.0.0.1:0", "127.0.0.1:x", "[::1", ""])
def test_lookup_refuses_a_server_that_is_no_address(server: str) -> None:
    with pytest.raises(UsageError, match="MAILBLAST_DNS"):
        DnsLookup([server])


def test_lookup_takes_addresses_of_both_kinds() -> None:
    DnsLookup(["9.9.9.9", "[2620:fe::fe]:53", "2620:fe::fe"])


# Recipients' domains.

DOMAINS = {
    ("good.org", "MX"): MX,
    ("mx.good.org", "A"): ["9.9.9.9"],
    ("null.org", "MX"): ["0 ."],
    ("web.org", "A"): ["9.9.9.9"],
    ("nothing.org", "TXT"): ["x"],
    ("private.org", "MX"): ["10 mx.private.org"],
    ("mx.private.org", "A"): ["10.0.0.1"],
    ("bare.org", "MX"): ["10 mx.bare.org"],
    ("mx.bare.org", "TXT"): ["x"],
    ("half.org", "MX"): ["10 silent.half.org"],
    ("unsure.org", "TXT"): ["x"],
}


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("good.org", []),
        ("gone.org", [("dns.no_domain", "error")]),
        ("null.org", [("dns.null_mx", "error")]),
        ("web.org", [("dns.no_mx", "warning")]),
        ("nothing.org", [("dns.no_host", "error")]),
        ("private.org", [("dns.private_mx", "warning")]),
        ("bare.org", [("dns.mx_without_address", "warning")]),
        ("half.org", []),
        ("fail.org", [("dns.unknown", "info")]),
        ("silent.org", [("dns.unknown", "info")]),
    ],
)
async def test_recipient_domain_is_judged_by_what_is_known(domain: str, expected: list[tuple[str, str]]) -> None:
    domains = RecipientDomains()
    domains.add(f"ann@{domain}", 2)
    domains.add(f"bob@{domain}", 3)
    done: list[int] = []
    with lookup(DOMAINS, failing=["fail.org"], silent=["silent.org", "silent.half.org"]) as dns:
        found = [check async for check in domains.findings(dns, done.append)]
    assert expected == ids(found)
    assert [1] == done
    for check in found:
        assert (f"ann@{domain}", 2) == (check.subject, check.row)
        assert "2 rows have this domain" in check.message


async def test_recipient_domain_whose_address_is_unknown_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    domains = RecipientDomains()
    domains.add("ann@unsure.org", 2)
    with lookup(DOMAINS) as dns:
        ask = dns.ask

        async def unsure(name: str, kind: str) -> dns_lookup.Answer:
            return (
                dns_lookup.Answer(Found.UNKNOWN, (), "no answer in time") if kind == "AAAA" else await ask(name, kind)
            )

        monkeypatch.setattr(dns, "ask", unsure)
        assert [("dns.unknown", "info")] == ids([check async for check in domains.findings(dns, lambda _: None)])


async def test_recipient_domains_beyond_the_bound_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipient_domain_check, "MOST_DOMAINS", 1)
    domains = RecipientDomains()
    for address in ("a@good.org", "b@gone.org", "c@good.org"):
        domains.add(address, 1)
    assert (1, 1) == (len(domains), domains.left_out)
    with lookup(DOMAINS) as dns:
        assert [("dns.left_out", "info")] == ids([check async for check in domains.findings(dns, lambda _: None)])


# SPF.


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (["v=spf1 mx ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"], [("domain.spf", "ok")]),
        (["v=spf1 include:inc.org ~all", "google-site-verification=x"], [("domain.spf", "ok")]),
        (["v=spf1 redirect=inc.org"], [("domain.spf", "ok")]),
        (["v=spf1 exists:%{i}.x.org include:%{d}.y.org -all"], [("domain.spf", "ok")]),
        ([], [("domain.spf", "error")]),
        (["v=spf10 -all"], [("domain.spf", "error")]),
        (["v=spf1 -all", "V=SPF1 ~all"], [("domain.spf", "error")]),
        (["v=spf1 +all"], [("domain.spf_all", "error")]),
        (["v=spf1 all"], [("domain.spf_all", "error")]),
        (["v=spf1 mx ?all"], [("domain.spf_all", "warning")]),
        (["v=spf1 mx"], [("domain.spf_all", "warning")]),
        (["v=spf1 ipv4:192.0.2.1 -all"], [("domain.spf_syntax", "error")]),
        (["v=spf1 ip4:nonsense -all"], [("domain.spf_syntax", "error")]),
        (["v=spf1 include: -all"], [("domain.spf_syntax", "error")]),
        (["v=spf1 +++ -all"], [("domain.spf_syntax", "error")]),
        (["v=spf1 include:norecord.org -all"], [("domain.spf_syntax", "error")]),
        (["v=spf1 include:twice.org -all"], [("domain.spf_syntax", "error")]),
        (["v=spf1 include:circle.org -all"], [("domain.spf_syntax", "error")]),
        (["v=spf1 a:n1.gone a:n2.gone a:n3.gone -all"], [("domain.spf_void", "error")]),
        ([f"v=spf1 {' '.join(f'a:a{n}.many.org' for n in range(11))} -all"], [("domain.spf_lookups", "error")]),
        (["v=spf1 include:fail.org -all"], [("domain.spf_unknown", "info"), ("domain.spf", "ok")]),
        (["v=spf1 ptr -all"], [("domain.spf", "ok")]),
    ],
)
async def test_spf_findings(records: list[str], expected: list[tuple[str, str]]) -> None:
    zone = {
        ("me.org", "TXT"): records or ["nothing"],
        ("me.org", "MX"): MX,
        ("inc.org", "TXT"): ["v=spf1 a:mx.good.org -all"],
        ("mx.good.org", "A"): ["9.9.9.9"],
        ("norecord.org", "TXT"): ["x"],
        ("twice.org", "TXT"): ["v=spf1 -all", "v=spf1 ~all"],
        ("circle.org", "TXT"): ["v=spf1 include:me.org -all"],
        **{(f"a{number}.many.org", "A"): ["9.9.9.9"] for number in range(11)},
    }
    with lookup(zone, failing=["fail.org"]) as dns:
        assert expected == ids(await check_spf("me.org", dns, frozenset()))


async def test_spf_that_does_not_include_the_provider_is_a_warning() -> None:
    zone = {
        ("me.org", "TXT"): ["v=spf1 include:inc.org -all"],
        ("inc.org", "TXT"): ["v=spf1 include:amazonses.com -all"],
        ("amazonses.com", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
    }
    with lookup(zone) as dns:
        assert [("domain.spf", "ok")] == ids(await check_spf("me.org", dns, frozenset(("amazonses.com",))))
        assert [("domain.spf_include", "warning")] == ids(await check_spf("me.org", dns, frozenset(("sendgrid.net",))))


async def test_spf_that_cannot_be_looked_up_is_unknown() -> None:
    with lookup({}, failing=["me.org"]) as dns:
        assert [("domain.spf_unknown", "info")] == ids(await check_spf("me.org", dns, frozenset()))


# DKIM.


@pytest.mark.parametrize(
    ("records", "key", "expected"),
    [
        ([f"v=DKIM1; k=rsa; p={published(RSA)}"], None, [("domain.dkim", "ok")]),
        ([f"v=DKIM1; p={published(RSA)}"], pem(RSA), [("domain.dkim", "ok")]),
        ([f"p={published(RSA)}"], pem(OTHER), [("domain.dkim_match", "error")]),
        ([f"v=DKIM1; t=y:s; p={published(RSA)}"], None, [("domain.dkim_test", "warning")]),
        (["v=DKIM1; p="], None, [("domain.dkim", "error")]),
        (["v=DKIM2; p=x"], None, [("domain.dkim", "error")]),
        (["v=DKIM1; p=nonsense!"], None, [("domain.dkim", "error")]),
        (["v=DKIM1; p=AAAA"], None, [("domain.dkim", "error")]),
        (["v=DKIM1; k=ed25519; p=AAAA"], None, [("domain.dkim", "error")]),
        ([f"p={published(RSA)}", "p=x"], None, [("domain.dkim", "error")]),
        ([], None, [("domain.dkim", "error")]),
        (
            [f"v=DKIM1; k=ed25519; p={base64.b64encode(ED.public_key().public_bytes_raw()).decode()}"],
            pem(ED),
            [("domain.dkim", "ok")],
        ),
        ([f"v=DKIM1; p={published(rsa.generate_private_key(65537, 1024))}"], None, [("domain.dkim_bits", "warning")]),
    ],
)
async def test_dkim_findings(records: list[str], key: Secret | None, expected: list[tuple[str, str]]) -> None:
    zone = {("s._domainkey.me.org", "TXT"): records} if records else {("me.org", "TXT"): ["x"]}
    with lookup(zone) as dns:
        found = await check_dkim("me.org", "s", dns, key)
    assert expected == ids(found)
    assert all("PRIVATE" not in str(check) for check in found)


async def test_dkim_key_of_another_kind_is_an_error() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with lookup({("s._domainkey.me.org", "TXT"): [f"p={base64.b64encode(der).decode()}"]}) as dns:
        assert [("domain.dkim", "error")] == ids(await check_dkim("me.org", "s", dns, None))


async def test_dkim_that_cannot_be_looked_up_is_unknown() -> None:
    with lookup({}, failing=["s._domainkey.me.org"]) as dns:
        assert [("domain.dkim_unknown", "info")] == ids(await check_dkim("me.org", "s", dns, None))


# DMARC.


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=DMARC1; p=reject; rua=mailto:a@me.org", [("domain.dmarc", "ok")]),
        ("v=DMARC1;p=quarantine;rua=mailto:a@me.org;adkim=s;np=reject;psd=n;t=n", [("domain.dmarc", "ok")]),
        (
            "v=DMARC1; p=none",
            [("domain.dmarc_policy", "info"), ("domain.dmarc_reports", "info"), ("domain.dmarc", "ok")],
        ),
        ("v=DMARC1; p=reject; rua=x; pct=50", [("domain.dmarc_old", "warning")]),
        ("v=DMARC1; p=maybe; rua=x", [("domain.dmarc_syntax", "error")]),
        ("v=DMARC1; rua=x", [("domain.dmarc_policy", "warning"), ("domain.dmarc_policy", "info")]),
        ("v=DMARC2; p=none", [("domain.dmarc", "error")]),
    ],
)
async def test_dmarc_findings(record: str, expected: list[tuple[str, str]]) -> None:
    with lookup({("_dmarc.me.org", "TXT"): [record]}) as dns:
        assert expected == ids(await check_dmarc("me.org", dns, signing_domain="", bounce_domain="me.org"))


async def test_dmarc_of_a_subdomain_is_found_above_it() -> None:
    zone = {("_dmarc.me.org", "TXT"): ["v=DMARC1; p=reject; sp=none; rua=x"], ("news.me.org", "MX"): MX}
    with lookup(zone) as dns:
        found = await check_dmarc("news.me.org", dns, signing_domain="me.org", bounce_domain="bounce.me.org")
        assert [("domain.dmarc_policy", "info"), ("domain.dmarc", "ok")] == ids(found)


@pytest.mark.parametrize(
    ("tags", "signing", "bounce", "expected"),
    [
        ("", "me.org", "me.org", []),
        ("", "mail.me.org", "bounce.me.org", []),
        ("", "relay.org", "me.org", ["domain.dkim_alignment"]),
        ("", "me.org", "relay.org", ["domain.spf_alignment"]),
        ("adkim=s; aspf=s;", "mail.me.org", "bounce.me.org", ["domain.dkim_alignment", "domain.spf_alignment"]),
    ],
)
async def test_dmarc_alignment(tags: str, signing: str, bounce: str, expected: list[str]) -> None:
    zone = {("_dmarc.me.org", "TXT"): [f"v=DMARC1; p=reject; {tags} rua=x"], ("_dmarc.relay.org", "TXT"): ["v=DMARC1"]}
    with lookup(zone) as dns:
        found = await check_dmarc("me.org", dns, signing_domain=signing, bounce_domain=bounce)
    assert expected == [check.id for check in found if check.id.endswith("_alignment")]


async def test_dmarc_with_two_records_counts_none() -> None:
    with lookup({("_dmarc.me.org", "TXT"): ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}) as dns:
        found = await check_dmarc("me.org", dns, signing_domain="", bounce_domain="me.org")
        assert [("domain.dmarc", "error")] == ids(found)


async def test_dmarc_that_cannot_be_looked_up_is_unknown() -> None:
    with lookup({}, failing=["_dmarc.me.org"]) as dns:
        found = await check_dmarc("me.org", dns, signing_domain="", bounce_domain="me.org")
        assert [("domain.dmarc_unknown", "info")] == ids(found)


async def test_tree_walk_asks_no_more_than_eight_names() -> None:
    server = DnsServer({("_dmarc.org", "TXT"): ["v=DMARC1; psd=y"]})
    try:
        found = await walk("a.b.c.d.e.f.g.h.i.j.org", DnsLookup([server.address]))
    finally:
        server.close()
    assert 8 == len(server.asked)
    assert "_dmarc.a.b.c.d.e.f.g.h.i.j.org" == server.asked[0][0]
    assert "_dmarc.f.g.h.i.j.org" == server.asked[2][0]
    assert "org" == found.policies[0].domain


# All of it.


async def test_domain_that_is_set_up_has_no_fault() -> None:
    zone = {
        ("me.org", "TXT"): ["v=spf1 mx -all"],
        ("me.org", "MX"): MX,
        ("_dmarc.me.org", "TXT"): ["v=DMARC1; p=reject; rua=mailto:a@me.org"],
        ("s._domainkey.me.org", "TXT"): [f"p={published(RSA)}"],
        ("1.2.0.192.in-addr.arpa", "PTR"): ["mail.me.org"],
        ("mail.me.org", "A"): ["192.0.2.1"],
    }
    sending = SendingDomain("me.org", "me.org", [SigningKey("me.org", "s", pem(RSA))], address="192.0.2.1")
    with lookup(zone) as dns:
        found = await check_domain(sending, dns)
    assert {("ok")} == {check.level.value for check in found}
    assert ["domain.spf", "domain.dkim", "domain.dmarc", "domain.mx", "domain.ptr"] == [check.id for check in found]


@pytest.mark.parametrize(
    ("zone", "failing", "expected"),
    [
        ({("me.org", "MX"): ["0 ."]}, (), ("domain.mx", "error")),
        ({("me.org", "A"): ["192.0.2.1"]}, (), ("domain.mx", "warning")),
        ({}, ("me.org",), ("domain.mx_unknown", "info")),
        ({}, (), ("domain.ptr", "error")),
        (
            {("1.2.0.192.in-addr.arpa", "PTR"): ["mail.me.org"], ("mail.me.org", "A"): ["192.0.2.9"]},
            (),
            ("domain.ptr", "error"),
        ),
        ({}, ("1.2.0.192.in-addr.arpa",), ("domain.ptr_unknown", "info")),
    ],
)
async def test_domain_mx_and_name_findings(
    zone: dict[tuple[str, str], list[str]], failing: Sequence[str], expected: tuple[str, str]
) -> None:
    with lookup(zone, failing=failing) as dns:
        found = await check_domain(SendingDomain("me.org", "me.org", address="192.0.2.1"), dns)
    assert expected in ids(found)
    assert ("domain.dkim_unknown", "info") in ids(found)

"""Which approach fits a volume, why, what it costs, how long it takes, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailblast.costs.guide import APPROACHES, PRICE_LIST, dollars, guide_cost, guide_recommendation
from mailblast.costs.volume import Period, per_day, per_month

if TYPE_CHECKING:
    from decimal import Decimal

#: From here Google, Yahoo and Microsoft ask for SPF, DKIM, DMARC and one-click unsubscribe (support.google.com/a/
#: answer/81126: "close to 5,000"; sendersupport.olc.protection.outlook.com: over 5,000 a day).
BULK_SENDER_PER_DAY = 5_000

#: Messages a second that a run keeps unless told otherwise.
#: SMTP: 5 per 1,000 ms, the pool's own pace, lifted by ``--rate``.
#: SES: 14, the guide's figure; an account's own MaxSendRate replaces it in a run.
#: SendGrid publishes no rate; the guide sends one request of at most 1,000 personalizations a second.
RATES_PER_S = {"directSMTP": 5, "queueSMTP": 5, "ses": 14, "sendgrid": 1_000}

_A_DAY_S = 86_400
_BULK = "mailblast bulk list.csv --template welcome.html"

# Run from cron, the journal is the queue: what one run leaves unsent or deferred, the next one sends.
_COMMANDS = {
    "directSMTP": f"{_BULK} --via smtp",
    "queueSMTP": f"{_BULK} --via smtp --retry-for 1h",
    "ses": f"{_BULK} --via smtp --rate 14/s",
    "sendgrid": f"{_BULK} --via smtp --rate 1000/s --connections 20",
}

_WHY = {
    "directSMTP": (
        "Fewer than 100 messages a day need no more than a mail server and one command.",
        "Nothing has to be set up or paid beside the server.",
    ),
    "queueSMTP": (
        "From 100 messages a day on, a queue keeps what is not sent yet through restarts and outages.",
        "Up to 1,000 a day, one mail server still carries the load.",
    ),
    "ses": (
        "From 1,000 messages a day on, mailbox providers judge the sender; a cloud service lends its standing.",
        "It takes bounces and complaints back to you, which a plain mail server does not.",
    ),
    "sendgrid": (
        "From 10,000 messages a day on, a cloud service fed from a queue keeps pace and loses nothing on the way.",
        "At this size the figures on delivery that come with the service are needed every day.",
    ),
}

# Sources: support.google.com/a/answer/166852 and learn.microsoft.com (Exchange Online limits) for mailboxes;
# docs.aws.amazon.com/ses, quotas, for the sandbox; SendGrid's v3 reference for mail/send, and its help article
# on the trial.
_MAILBOX_LIMITS = (
    "A Gmail mailbox takes 500 messages a day, Google Workspace 2,000.",
    "Microsoft 365 takes 10,000 recipients a day and 30 messages a minute.",
)
_LIMITS = {
    "directSMTP": _MAILBOX_LIMITS,
    "queueSMTP": _MAILBOX_LIMITS,
    "ses": ("A new account is in the sandbox: 200 messages a day, 1 a second, to verified addresses only.",),
    "sendgrid": (
        "The trial takes 100 messages a day for 60 days.",
        "One request takes at most 1,000 personalizations.",
    ),
}

# docs.aws.amazon.com/ses, "SMTP endpoints"; www.twilio.com/docs/sendgrid, "Integrating with the SMTP API".
_OWN_SERVER = "Set SMTP_HOST, SMTP_PORT, SMTP_USER and SMTP_PASSWORD."
_CONNECT = {
    "directSMTP": (_OWN_SERVER,),
    "queueSMTP": (_OWN_SERVER, "Put the command into cron, every 10 minutes: each run sends what the last one left."),
    "ses": (
        "Verify the sending domain in SES, ask for production access, and make SMTP credentials.",
        "Set SMTP_HOST=email-smtp.REGION.amazonaws.com, SMTP_PORT=587, SMTP_USER and SMTP_PASSWORD.",
    ),
    "sendgrid": (
        "Authenticate the sending domain in SendGrid and make an API key.",
        "Set SMTP_HOST=smtp.sendgrid.net, SMTP_PORT=587, SMTP_USER=apikey and SMTP_PASSWORD to the key.",
        "Put the command into cron, every 10 minutes: each run sends what the last one left.",
    ),
}


class Cheapest(NamedTuple):
    """The approach with the lowest monthly cost at a volume."""

    approach: str
    monthly: Decimal


class Recommendation(NamedTuple):
    """What to use at a volume, and all that follows from it."""

    #: As the user gave it, per ``per``.
    volume: int
    per: Period
    approach: str
    why: tuple[str, ...]
    #: US dollars, from ``price_list``.
    monthly_cost: Decimal
    #: By the same price list; may be another approach.
    cheapest: Cheapest
    rate_per_s: int
    #: Seconds for ``volume`` messages in one run at ``rate_per_s``.
    duration_s: float
    #: What the service itself allows.
    limits: tuple[str, ...]
    #: The next command, to be typed as it stands with one's own list and template.
    command: str
    #: What to do once, before and around that command.
    setup: tuple[str, ...]
    price_list: str = PRICE_LIST
    #: ISO date on which the prices were read; None for a list that carries no date.
    price_date: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the object that ``recommend --json`` prints."""
        return {
            "volume": self.volume,
            "per": self.per,
            "approach": self.approach,
            "why": list(self.why),
            "monthly_cost": dollars(self.monthly_cost),
            "cheapest": {"approach": self.cheapest.approach, "monthly": dollars(self.cheapest.monthly)},
            "command": self.command,
            "rate_per_s": self.rate_per_s,
            "duration_s": round(self.duration_s, 1),
            "limits": list(self.limits),
            "setup": list(self.setup),
            "price_list": self.price_list,
            "price_date": self.price_date,
        }


def recommend(volume: int, per: Period = "day") -> Recommendation:
    """Recommend an approach for a volume, by the guide's thresholds and prices.

    Args:
        volume: Messages per ``per``, at least 1.
        per: The thresholds are per day; a month is 30 days.

    Raises:
        UsageError: The volume is not positive.
    """
    monthly_volume = per_month(volume, per)
    costs = [guide_cost(monthly_volume, each) for each in APPROACHES]
    daily = per_day(volume, per)
    approach = guide_recommendation(daily)
    cheapest = min(costs, key=lambda cost: cost.monthly)
    rate_per_s = RATES_PER_S[approach]
    duration_s = volume / rate_per_s
    return Recommendation(
        volume=volume,
        per=per,
        approach=approach,
        why=_WHY[approach],
        monthly_cost=costs[APPROACHES.index(approach)].monthly,
        cheapest=Cheapest(cheapest.approach, cheapest.monthly),
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        limits=(*_LIMITS[approach], *_too_slow(duration_s, rate_per_s)),
        command=_COMMANDS[approach],
        setup=_setup(approach, daily),
    )


def _too_slow(duration_s: float, rate_per_s: int) -> tuple[str, ...]:
    if duration_s <= _A_DAY_S:
        return ()
    return (f"At {rate_per_s:,} a second one run takes more than a day: agree a higher rate with the provider.",)


def _setup(approach: str, daily: float) -> tuple[str, ...]:
    steps = [
        *_CONNECT[approach],
        "SPF: publish a TXT record that names the servers allowed to send for your domain.",
        "DKIM: publish the public key, and have the server sign every message with a key of 2,048 bits.",
        "DMARC: publish a policy at _dmarc under your domain; p=none with a report address is a start.",
    ]
    if daily >= BULK_SENDER_PER_DAY:
        steps.append(
            "Unsubscribe: from 5,000 messages a day on, mailbox providers want one-click unsubscribe in every message."
        )
    steps.append("Check list, template and login with mailblast verify before the first run.")
    return tuple(steps)

"""What is said about each of the guide's four approaches."""

from __future__ import annotations

#: Options of ``bulk``, where mail goes first.
OPTIONS = {
    "directSMTP": ("--via smtp",),
    "queueSMTP": ("--via smtp", "--queue"),
    "ses": ("--via ses",),
    "sendgrid": ("--via sendgrid", "--queue"),
}

WHY = {
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

# Sources: docs.aws.amazon.com/ses, quotas, for the sandbox; SendGrid's v3 reference for mail/send, and its help article
# on the trial. Figures that the price file holds are not repeated here.
LIMITS: dict[str, tuple[str, ...]] = {
    "directSMTP": (),
    "queueSMTP": (),
    "ses": ("A new account is in the sandbox: it reaches verified addresses only. The account's own rate is kept.",),
    "sendgrid": (
        "The trial takes 100 messages a day for 60 days.",
        "One request takes at most 1,000 personalizations.",
    ),
}

_OWN_SERVER = "Set SMTP_HOST, SMTP_PORT, SMTP_USER and SMTP_PASSWORD."
_WORKER = "Keep mailblast worker running, as a service or from cron: it delivers what is queued."
# docs.aws.amazon.com/ses, "Moving out of the sandbox"; www.twilio.com/docs/sendgrid, "Domain authentication".
CONNECT = {
    "directSMTP": (_OWN_SERVER,),
    "queueSMTP": (_OWN_SERVER, _WORKER),
    "ses": (
        "Verify the sending domain in Amazon SES and ask for production access.",
        "Set AWS_REGION and the account's keys, or any other of AWS's own ways; --via ses://REGION names the region.",
    ),
    "sendgrid": (
        "Authenticate the sending domain in SendGrid and make an API key.",
        "Set SENDGRID_API_KEY.",
        _WORKER,
    ),
}

AUTHENTICATE = (
    "SPF: publish a TXT record that names the servers allowed to send for your domain.",
    "DKIM: publish the public key, and have the server sign every message with a key of 2,048 bits.",
    "DMARC: publish a policy at _dmarc under your domain; p=none with a report address is a start.",
)
UNSUBSCRIBE = (
    "Unsubscribe: from 5,000 messages a day on, mailbox providers want one-click unsubscribe in every message; "
    "give --unsubscribe your own address for it."
)

"""What an account of Amazon SES is on and may send: one call, and only where the user asks for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from mailblast.errors import AccountError, ProviderUnavailableError, UsageError

#: Seconds; one answer of a few hundred bytes.
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 5
#: What an account is on that never chose a plan.
A_LA_CARTE = "NONE"


class SesAccount(NamedTuple):
    """What the account itself says."""

    #: As the API names it: ``NONE`` (à la carte), ``ESSENTIALS``, ``PRO``, ``ENTERPRISE``.
    plan: str
    #: MaxSendRate: recipients a second; None where it is not told.
    rate_per_s: Decimal | None


def plan_of_account(client: Any = None) -> SesAccount:
    """Return the plan and the rate of the account that the AWS settings of this machine lead to.

    Args:
        client: Of boto3's ``sesv2``; None makes one by AWS's own settings.

    Raises:
        UsageError: There is no region.
        AccountError: There are no keys, or they may not read the account.
        ProviderUnavailableError: There was no answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    try:
        account = (client or _client()).get_account()
    except NoRegionError as error:
        raise UsageError("Amazon SES cannot be asked: no region.", fix="Set AWS_REGION.") from error
    except NoCredentialsError as error:
        raise AccountError("Amazon SES cannot be asked: no keys.", fix="Set them, or leave out --ask-ses.") from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise AccountError(
            f"Amazon SES refused to tell the plan: {code}.", fix="Allow ses:GetAccount, or leave out --ask-ses."
        ) from error
    except BotoCoreError as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise ProviderUnavailableError(f"Amazon SES gave no answer: {reason}.", fix="Leave out --ask-ses.") from error
    plan = str(account.get("PricingAttributes", {}).get("CurrentPlan") or A_LA_CARTE)
    rate = account.get("SendQuota", {}).get("MaxSendRate") or 0
    return SesAccount(plan, Decimal(str(rate)) if rate > 0 else None)


def _client() -> Any:
    import os

    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    # boto3 itself reads AWS_DEFAULT_REGION alone.
    return boto3.Session().client("sesv2", region_name=os.environ.get("AWS_REGION") or None, config=config)

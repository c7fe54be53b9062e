from __future__ import annotations

import pickle

import pytest

from mailblast.errors import AccountError, RowFaultError, RunInterruptedError
from mailblast.model.secret import Secret


def test_error_reads_as_message_and_remedy() -> None:
    assert str(AccountError("Refused.", fix="Pay.")) == "Refused. Pay."
    assert str(AccountError("Refused.")) == "Refused."


def test_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(AccountError("Refused.", fix="Pay.")))
    assert (AccountError, "Refused.", "Pay.") == (type(error), error.message, error.fix)


def test_interruption_knows_its_signal() -> None:
    error = RunInterruptedError("x", signal_number=15)
    assert 15 == error.signal_number == pickle.loads(pickle.dumps(error)).signal_number


def test_row_fault_names_its_column() -> None:
    fault = RowFaultError("is empty", column="email")
    assert ("is empty", "email", "is empty") == (fault.reason, fault.column, str(fault))


def test_secret_is_never_shown() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert secret != Secret("other")
    assert hash(secret) == hash(Secret("hunter2"))
    assert secret
    assert not Secret("")
    with pytest.raises(TypeError, match="not picklable"):
        pickle.dumps(secret)

"""A Postfix that asks for a login: real AUTH over STARTTLS, by Dovecot's SASL server."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.availability import program
from servers.postfix_server import Postfix, postfix_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Certificates

#: No delay after a wrong password, and no penalty that grows with them.
SASL_CONFIG = """\
base_dir = {folder}/run
log_path = {folder}/log
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
"""
#: Seconds until the SASL server listens.
START_S = 15.0


@contextlib.contextmanager
def postfix_sasl(certificates: Certificates, user: str, password: str, **settings: str) -> Iterator[Postfix]:
    """Run a Postfix that takes mail from one user only.

    Args:
        certificates: The good one is the server's.
        user: Name as it logs in.
        password: Without a colon.
        settings: Further parameters of main.cf.
    """
    # Not under pytest's own folder: Postfix's user must be able to walk down to it.
    with tempfile.TemporaryDirectory(prefix="mailblast-sasl-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        key = folder / "server.pem"
        key.write_bytes(certificates.good_pem.read_bytes())
        (folder / "users").write_text(f"{user}:{{PLAIN}}{password}\n")
        with (
            _sasl_server(folder),
            postfix_server(
                smtpd_tls_cert_file=str(key),
                smtpd_tls_security_level="may",
                smtpd_tls_auth_only="yes",
                smtpd_sasl_auth_enable="yes",
                smtpd_sasl_type="dovecot",
                smtpd_sasl_path=str(folder / "auth"),
                smtpd_recipient_restrictions="permit_sasl_authenticated,reject",
                **settings,
            ) as running,
        ):
            yield running


@contextlib.contextmanager
def _sasl_server(folder: Path) -> Iterator[None]:
    dovecot = program("dovecot", "dovecot-core")
    config = folder / "dovecot.conf"
    config.write_text(SASL_CONFIG.format(folder=folder))
    with subprocess.Popen(
        [dovecot, "-F", "-c", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        try:
            end_s = time.monotonic() + START_S
            while not (folder / "auth").is_socket():
                if server.poll() is not None or time.monotonic() > end_s:
                    server.kill()
                    said = server.communicate()[0].decode(errors="replace")
                    pytest.fail(f"Dovecot did not start: {said}")
                time.sleep(0.02)
            yield
        finally:
            server.terminate()
            server.communicate(timeout=START_S)

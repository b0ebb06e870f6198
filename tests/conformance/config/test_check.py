"""Every snippet of the table has the same verdict and text from the real `nats-server -t` and from ours."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from leafbox.app.configuration.check import check_file
from tests.conformance.config.check_cases import CHECK_CASES, ENVIRONMENT, FILES
from tests.support.servers import ServerKind

CONFIG = "server.conf"
TRIES_MAX = 20


def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36500))
    certificate = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), pem


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files the snippets refer to."""
    home = tmp_path_factory.mktemp("configuration")
    for name, text in FILES.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    certificate, key = _certificate()
    _, other_key = _certificate()
    for name, content in (("cert.pem", certificate), ("key.pem", key), ("other-key.pem", other_key)):
        (home / name).write_bytes(content)
    return home


def without_hints(text: str) -> str:
    """Our text without the suggestion lines, which are ours alone."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("    "))


@pytest.mark.capability("CF01", "CF02", "CF03", "CF10")
@pytest.mark.parametrize("name", CHECK_CASES)
def test_the_check_says_what_nats_server_says(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / CONFIG).write_text(CHECK_CASES[name], encoding="utf-8")
    monkeypatch.chdir(folder)
    code, text = check_file(CONFIG, ENVIRONMENT)
    ours = (without_hints(text), code)
    # The real server walks maps in random order, so of two mistakes it names now one, now the other.
    said = set()
    for _ in range(TRIES_MAX):
        said.add(real_verdict())
        if ours in said:
            break
    assert ours in said


def real_verdict() -> tuple[str, int]:
    """What `nats-server -t` says of the snippet in the working directory, and its exit code."""
    real = subprocess.run(
        [str(ServerKind.REAL.program), "-t", "-c", CONFIG],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return real.stderr.decode("utf-8", "surrogateescape"), real.returncode

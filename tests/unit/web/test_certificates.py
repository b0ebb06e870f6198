"""The box's own authority: made once, its server certificate renewed in time, keys for the owner only."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509

from leafbox.web import certificates

pytestmark = pytest.mark.capability("AP06")

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def read(data: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((certificates.directory_of(data) / f"{name}.pem").read_bytes())


def test_the_authority_stays_and_the_server_is_renewed_before_its_end(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, ["box.example", "192.0.2.7"], NOW)
    authority, server = read(tmp_path, "authority"), read(tmp_path, "server")
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "box.example" in names.get_values_for_type(x509.DNSName)
    assert "192.0.2.7" in map(str, names.get_values_for_type(x509.IPAddress))
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for key in ("authority.key", "server.key"):
        assert (certificates.directory_of(tmp_path) / key).stat().st_mode & 0o077 == 0
    certificates.ensure(tmp_path, ["box.example"], NOW + datetime.timedelta(days=100))
    assert read(tmp_path, "server") == server, "nothing to renew"
    certificates.ensure(tmp_path, ["box.example"], NOW + datetime.timedelta(days=380))
    renewed = read(tmp_path, "server")
    assert renewed != server
    renewed.verify_directly_issued_by(read(tmp_path, "authority"))
    assert read(tmp_path, "authority") == authority


def test_another_name_makes_another_certificate(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, [], NOW)
    before = read(tmp_path, "server")
    certificates.ensure(tmp_path, ["new.example"], NOW)
    assert read(tmp_path, "server") != before
    kinds = [each["kind"] for each in certificates.described(tmp_path)]
    assert kinds == ["authority", "server"]
    assert "PRIVATE" not in str(certificates.described(tmp_path))


def test_half_of_a_pair_is_made_anew(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, [], NOW)
    folder = certificates.directory_of(tmp_path)
    (folder / "server.key").unlink()
    (folder / "authority.pem").write_text("damaged")
    certificates.ensure(tmp_path, [], NOW)
    read(tmp_path, "server").verify_directly_issued_by(read(tmp_path, "authority"))
    assert certificates.server_context(tmp_path, []).get_ca_certs() == []

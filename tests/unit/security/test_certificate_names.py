"""Which user a certificate speaks for; the cases were tried on nats-server 2.15.1."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pytest
from cryptography.x509.oid import NameOID
from hypothesis import given

from leafbox.security.certificate_names import DistinguishedName, InvalidName, parse_name, read_names
from tests.support.certificates import TestAuthority

pytestmark = pytest.mark.capability("SE15")

CN, ORG, OU, DC = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.DOMAIN_COMPONENT,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    directory: Path = tmp_path_factory.mktemp("pki")
    return TestAuthority(directory)


@pytest.fixture(scope="module")
def everything(authority: TestAuthority) -> bytes:
    """A certificate with every kind of name."""
    return authority.issue(
        "everything",
        subject=[(ORG, "org"), (CN, "cn")],
        emails=["a@x.com"],
        dns=["d.x"],
        uris=["spiffe://x/y"],
    ).der


@pytest.mark.parametrize(
    ("users", "found"),
    [
        (["d.x", "a@x.com", "CN=cn,O=org", "spiffe://x/y"], "a@x.com"),
        (["spiffe://x/y", "d.x", "CN=cn,O=org"], "d.x"),
        (["CN=cn,O=org", "spiffe://x/y"], "spiffe://x/y"),
        (["O=org,CN=cn", "CN=cn,O=org"], "CN=cn,O=org"),
        (["O=org,CN=cn"], "O=org,CN=cn"),
        (["cn=cn , o=org"], "cn=cn , o=org"),
        (["2.5.4.3=cn,2.5.4.10=org"], "2.5.4.3=cn,2.5.4.10=org"),
        (["CN=CN,O=org"], None),
        (["CN=cn"], None),
        (["cn"], None),
        (["CN=cn,O=org,O=org"], None),
        (["CN=cn+O=org"], None),
        (["A@x.com"], None),
        ([], None),
    ],
)
def test_names_are_tried_in_order(everything: bytes, users: list[str], found: str | None) -> None:
    assert read_names(everything).find_user(users) == found


def test_special_characters_of_a_subject(authority: TestAuthority) -> None:
    names = read_names(
        authority.issue(
            "special", subject=[(DC, "com"), (DC, "ex"), (ORG, "org, inc"), (OU, "ou"), (CN, "  #1+\\é ")]
        ).der
    )
    user = r"CN=\ \ #1\+\\\c3\a9\ ,OU=ou,O=org\, inc,DC=ex,DC=com"
    assert names.find_user([user]) == user
    assert names.find_user([r"DC=com,DC=ex,O=org\2c inc,OU=ou,CN=\20 #1\+\\é\ "]) is not None
    assert names.find_user(["CN=#1,OU=ou,O=org inc,DC=ex,DC=com"]) is None


def test_a_subject_with_an_attribute_outside_the_table_finds_nobody(authority: TestAuthority) -> None:
    certificate = authority.issue("mail", subject=[(NameOID.EMAIL_ADDRESS, "m@x"), (CN, "cn")]).der
    assert read_names(certificate).find_user(["CN=cn", "CN=cn,1.2.840.113549.1.9.1=m@x"]) is None


def test_a_certificate_without_names_finds_nobody(authority: TestAuthority) -> None:
    names = read_names(authority.issue("nameless").der)
    assert names == read_names(authority.issue("nameless-too").der)
    assert names.find_user(["", "CN="]) is None


@pytest.mark.parametrize("text", ["", "cn", "CN=a,", ",CN=a", "=a", "CN=a+", "CN=a\\", "CN=\\ff"])
def test_texts_that_are_no_names(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_name(text)


def test_several_attributes_in_one_rdn() -> None:
    assert parse_name("CN=a+OU=b,O=c") == DistinguishedName(
        (frozenset({("CN", "a"), ("OU", "b")}), frozenset({("O", "c")}))
    )


@given(value=st.text(min_size=1))
def test_any_value_can_be_written(value: str) -> None:
    escaped = "".join(f"\\{byte:02x}" for byte in value.encode())
    assert parse_name(f"CN={escaped}") == DistinguishedName((frozenset({("CN", value)}),))


@given(text=st.text(st.characters(exclude_categories=())))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        parse_name(text)
    except InvalidName:
        return


@given(data=st.binary())
def test_any_bytes_are_a_certificate_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidName):
        read_names(data)

"""Where a request comes from: what browsers say of it, and what is made of that."""

from __future__ import annotations

import pytest
from fastapi import Request

from leafbox.web.login import check_origin
from leafbox.web.problems import Refusal

pytestmark = pytest.mark.capability("MO11")


def request(**headers: str) -> Request:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"box:8222"), *fields]})


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"origin": "http://box:8222"}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"origin": "http://box:8222", "sec_fetch_site": "cross-site"}, False),
        ({"origin": "http://box:8223"}, False),
        ({"origin": "http://evil/?box:8222"}, False),
        ({"origin": "http://box:8222@evil"}, False),
        ({"origin": "null"}, False),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "none"}, False),
    ],
)
def test_only_our_own_page_passes(headers: dict[str, str], is_own: bool) -> None:
    for is_proof_needed in (False, True):
        if is_own:
            check_origin(request(**headers), is_proof_needed=is_proof_needed)
        else:
            with pytest.raises(Refusal, match="does not come from"):
                check_origin(request(**headers), is_proof_needed=is_proof_needed)


def test_who_says_nothing_passes_only_without_a_cookie() -> None:
    check_origin(request(), is_proof_needed=False)
    with pytest.raises(Refusal):
        check_origin(request(), is_proof_needed=True)

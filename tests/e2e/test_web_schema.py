"""schemathesis over the whole OpenAPI document: no server error, only documented shapes, nothing without a login.

Every operation gets its boundary values and a few random requests, always the same; LEAFBOX_SCHEMA_EXAMPLES: more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from leafbox.web.app import OPEN_OPERATIONS, document, make_application
from leafbox.web.settings import Settings
from tests.support.web_client import Browser, RunningBox

pytestmark = [pytest.mark.slow, pytest.mark.capability("AP06", "MO11")]

EXAMPLES = int(os.environ.get("LEAFBOX_SCHEMA_EXAMPLES", "2"))
LEFT_OUT = {
    # Answers without end; test_web_process and test_dashboard read them.
    "watch_events", "tail_messages", "tail_logs",
    # Random addresses would be connected to; test_dashboard adds a real hub.
    "add_uplink",
    # A random text that is valid would close the listeners under test; test_web_config applies chosen ones.
    "apply_config",
    # Waits for an answer as long as it is asked to; test_web_data asks real responders.
    "request",
}  # fmt: skip
NOT_AN_ERROR = (501, 502, 503, 504, 507)

API = document(make_application(Settings())[1])
schema = schemathesis.openapi.from_dict(API)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBox]:
    with RunningBox(tmp_path_factory.mktemp("box")) as running:
        yield running


@pytest.fixture(scope="module")
def secret(box: RunningBox) -> str:
    admin = box.claim()
    made: str = admin.post("tokens", {"name": "schema", "role": "admin"}).json["secret"]
    return made


def checked(case: Any, box: RunningBox, headers: dict[str, str]) -> Any:
    answer = case.call(base_url=box.url, headers=headers, timeout=30)
    assert answer.status_code < 500 or answer.status_code in NOT_AN_ERROR, (answer.status_code, answer.text)
    return answer


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_makes_an_error_of_ours(case: Any, box: RunningBox, secret: str) -> None:
    name = case.operation.definition.raw["operationId"]
    if name in LEFT_OUT:
        return
    answer = checked(case, box, {"Authorization": f"Bearer {secret}"})
    checks = [content_type_conformance, response_schema_conformance, status_code_conformance]
    if answer.status_code < 300 and name not in ("download_object", "download_backup", "upload_object"):
        case.validate_response(answer, checks=checks)


def test_the_box_is_well_afterwards_and_strangers_still_get_nothing(box: RunningBox, secret: str) -> None:
    assert Browser(box.url, token=secret, origin=None).get("session").status == 200
    names = {operation["operationId"] for methods in API["paths"].values() for operation in methods.values()}
    assert names >= LEFT_OUT | OPEN_OPERATIONS
    assert "Traceback" not in box.log

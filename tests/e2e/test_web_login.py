"""Claiming, logging in and out, wrong passwords, roles, tokens, sessions: against a running box."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leafbox.app.control_client import ask
from tests.support.web_client import ADMIN, PASSWORD, Browser, RunningBox

pytestmark = pytest.mark.capability("AP06", "MO11")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBox]:
    with RunningBox(tmp_path_factory.mktemp("box")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(box: RunningBox) -> Browser:
    """The claim itself is tested by how this comes about."""
    visitor = box.browser()
    assert visitor.get("setup").json["claimed"] is False
    assert visitor.get("streams").status == 401
    wrong = {"code": "AAAA-AAAA-AAAA", "name": ADMIN, "password": PASSWORD}
    assert visitor.post("setup", wrong).code == "wrong_code"
    code = str(ask(box.data, "setup.code")["code"])
    short = visitor.post("setup", {"code": code, "name": ADMIN, "password": "short"})
    assert (short.status, short.json["errors"][0]["where"]) == (422, "body.password")
    foreign = box.browser()
    foreign.origin = "http://evil.example"
    assert foreign.post("setup", {"code": code, "name": "x", "password": PASSWORD}).code == "foreign_origin"
    # As a person types it.
    answer = visitor.post("setup", {"code": code.lower().replace("-", " "), "name": ADMIN, "password": PASSWORD})
    assert answer.status == 200, answer.body
    assert (answer.json["role"], answer.json["accounts"]) == ("admin", ["$G"])
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    again = box.browser().post("setup", {"code": code, "name": "second", "password": PASSWORD})
    assert (again.status, again.code) == (409, "claimed")
    assert ask(box.data, "setup.code")["code"] == ""
    return visitor


def add_person(admin: Browser, box: RunningBox, name: str, role: str) -> Browser:
    answer = admin.post("people", {"name": name, "password": PASSWORD, "role": role})
    assert answer.status == 201, answer.body
    return box.browser().login(name)


def test_a_session_ends_with_logout_everywhere(box: RunningBox, admin: Browser) -> None:
    browser = box.browser().login(ADMIN)
    assert browser.get("session").json["name"] == ADMIN
    thief = Browser(box.url, cookie=browser.cookie)
    assert thief.get("session").status == 200
    assert browser.delete("session").status == 200
    assert browser.cookie == ""
    assert thief.get("session").code == "login_needed"


def test_roles_are_kept(box: RunningBox, admin: Browser) -> None:
    viewer = add_person(admin, box, "vera", "viewer")
    operator = add_person(admin, box, "otto", "operator")
    stream = {"name": "ROLES", "subjects": ["roles.>"]}
    assert viewer.post("streams", stream).code == "role_missing"
    assert operator.post("streams", stream).status == 201
    assert viewer.get("streams/ROLES").status == 200
    assert viewer.post("streams/ROLES/purge").code == "role_missing"
    assert operator.post("streams/ROLES/purge").status == 200
    assert operator.get("people").code == "role_missing"
    assert operator.get("config").code == "role_missing"
    assert operator.delete("streams/ROLES").status == 200


def test_requests_from_other_sites_change_nothing(box: RunningBox, admin: Browser) -> None:
    browser = box.browser().login(ADMIN)
    stream = {"name": "CSRF", "subjects": ["csrf.>"]}
    for origin in ("http://evil.example", "null", None):
        browser.origin = origin
        assert browser.post("streams", stream).code == "foreign_origin", origin
    for fetched_from in ("cross-site", "same-site", "none"):
        browser.origin = "own"
        answer = browser.post("streams", stream, headers={"Sec-Fetch-Site": fetched_from})
        assert answer.code == "foreign_origin", fetched_from
    assert browser.get("streams/CSRF").status == 404


def test_wrong_passwords_cost_time(box: RunningBox, admin: Browser) -> None:
    add_person(admin, box, "locked", "viewer")
    visitor = box.browser()
    for _ in range(5):
        assert visitor.post("session", {"name": "locked", "password": "wrong"}).code == "wrong_login"
    refused = visitor.post("session", {"name": "locked", "password": PASSWORD})
    assert (refused.status, refused.code) == (429, "throttled")
    assert int(refused.headers["retry-after"]) > 5
    people = {person["name"]: person for person in admin.get("people").json["people"]}
    assert people["locked"]["locked_until_s"] > 0
    # Others are not kept out, and an unknown name is told nothing else.
    assert box.browser().login(ADMIN).get("session").status == 200
    unknown = visitor.post("session", {"name": "nobody", "password": "wrong"})
    assert (unknown.status, unknown.code) == (401, "wrong_login")


def test_tokens_are_narrow_and_end_at_once(box: RunningBox, admin: Browser) -> None:
    made = admin.post("tokens", {"name": "scraper", "role": "viewer", "scopes": ["monitoring", "streams"]})
    assert made.status == 201
    script = Browser(box.url, token=made.json["secret"], origin=None)
    assert script.get("/varz").json["server_name"]
    assert script.get("streams").status == 200
    assert script.get("kv").code == "scope_missing"
    assert script.get("session").code == "scope_missing"
    assert script.post("streams", {"name": "X", "subjects": ["x"]}).code == "role_missing"
    listed = admin.get("tokens")
    assert made.json["secret"] not in listed.body.decode()
    assert admin.delete(f"tokens/{made.json['token']['id']}").status == 200
    assert script.get("streams").code == "login_needed"
    unknown = admin.post("tokens", {"name": "x", "scopes": ["everything"]})
    assert (unknown.status, unknown.code) == (422, "invalid")


def test_a_changed_password_or_removal_ends_sessions(box: RunningBox, admin: Browser) -> None:
    browser = add_person(admin, box, "pat", "viewer")
    other = box.browser().login("pat")
    wrong = {"password": "another long one", "current_password": "no"}
    assert browser.request("PATCH", "people/pat", wrong).code == "wrong_password"
    right = {"password": "another long one", "current_password": PASSWORD}
    assert browser.request("PATCH", "people/pat", right).status == 200
    assert browser.get("session").status == 200
    assert other.get("session").status == 401
    assert browser.request("PATCH", "people/pat", {"role": "admin"}).code == "role_missing"
    assert admin.delete("people/pat").status == 200
    assert browser.get("session").status == 401
    assert admin.delete(f"people/{ADMIN}").code == "conflict"


def test_every_change_is_recorded_with_its_outcome(box: RunningBox, admin: Browser) -> None:
    admin.post("streams", {"name": "AUDITED", "subjects": ["audited"]})
    admin.delete("streams/AUDITED")
    admin.delete("streams/AUDITED")
    entries = admin.get("audit?limit=3").json["entries"]
    seen = [(each["action"], each["target"], each["status"], each["who"], each["ip"]) for each in entries]
    delete = "DELETE /api/v1/streams/{name}"
    assert seen == [
        (delete, "AUDITED", 404, ADMIN, "127.0.0.1"),
        (delete, "AUDITED", 200, ADMIN, "127.0.0.1"),
        ("POST /api/v1/streams", "", 201, ADMIN, "127.0.0.1"),
    ]
    older = admin.get(f"audit?limit=2&before={entries[-1]['id']}").json["entries"]
    assert all(each["id"] < entries[-1]["id"] for each in older)


def test_sessions_can_be_seen_and_ended(box: RunningBox, admin: Browser) -> None:
    other = box.browser().login(ADMIN)
    sessions = admin.get("sessions").json["sessions"]
    assert sum(each["current"] for each in sessions) == 1
    mine = next(each for each in other.get("sessions").json["sessions"] if each["current"])
    assert admin.delete(f"sessions/{mine['id']}").status == 200
    assert other.get("session").status == 401

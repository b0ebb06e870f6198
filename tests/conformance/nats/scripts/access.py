"""Logging in, what may be said before it, and permissions (core-protocol 1, 2.1; config 4, 6)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import MODERN, QUIET, connect, hpub, login, pub, script, token

# bcrypt of "secret", cost 4.
_BCRYPT = "$2b$04$8ruVtIbvGGO9.zWYL65P9.Ss92zmVLCdjC5wjnh4mwqRSApZdjEIu"

CONFIGS = {
    "token": "server_name: differential\nauthorization { timeout: 60, token: s3cr3t }",
    "bcrypt token": f'server_name: differential\nauthorization {{ timeout: 60, token: "{_BCRYPT}" }}',
    "one user": "server_name: differential\nauthorization { timeout: 60, user: u, password: pw }",
    "users": f"""
        server_name: differential
        authorization {{ timeout: 60, users: [
          {{user: u, password: pw}}
          {{user: b, password: "{_BCRYPT}"}}
          {{nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4}}
          {{user: w, password: pw, allowed_connection_types: [WEBSOCKET]}}
          {{user: s, password: pw, allowed_connection_types: [STANDARD]}}
        ] }}
    """,
    "no_auth_user": """
        server_name: differential
        no_auth_user: guest
        authorization { timeout: 60, users: [
          {user: u, password: pw}
          {user: guest, password: pw, permissions: {publish: "*.open.>", subscribe: ["*.open.>", "_INBOX.>"]}}
        ] }
    """,
    "permissions": """
        server_name: differential
        authorization {
          timeout: 60
          default_permissions: {publish: "*.default", subscribe: "*.default"}
          users: [
            {user: all, password: pw, permissions: {}}
            {user: default, password: pw}
            {user: none, password: pw, permissions: {publish: {deny: ">"}, subscribe: {deny: ">"}}}
            {user: empty, password: pw, permissions: {publish: [], subscribe: []}}
            {user: list, password: pw, permissions: {
                publish: ["*.a", "*.w.*", "*.t.>"], subscribe: ["*.a", "*.w.*", "*.t.>"]}}
            {user: deny, password: pw, permissions: {
                publish: {deny: ["*.no", "*.no.>"]}, subscribe: {deny: ["*.no", "*.no.>"]}}}
            {user: both, password: pw, permissions: {
                publish: {allow: ["*.ok.>"], deny: ["*.ok.not"]}, subscribe: {allow: "*.ok.>", deny: "*.ok.not"}}}
            {user: queue, password: pw, permissions: {
                subscribe: ["*.q q1", "*.any", "*.v v1.*", "*.mix", "*.mix only", "*.p *.prod"]}}
            {user: dqueue, password: pw, permissions: {subscribe: {allow: "*.>", deny: ["*.q q1", "*.x *.dev"]}}}
            {user: answer, password: pw, permissions: {subscribe: "*.ask", allow_responses: true}}
            {user: twice, password: pw, permissions: {
                subscribe: "*.ask", publish: "*.log", allow_responses: {max: 2, expires: "1m"}}}
            {user: brief, password: pw, permissions: {subscribe: "*.ask", allow_responses: {max: 5, expires: "1ms"}}}
            {user: endless, password: pw, permissions: {subscribe: "*.ask", allow_responses: {max: -1, expires: "1m"}}}
          ]
        }
    """,
}

_FIRST_WORDS = (
    b"PING\r\n",
    b"SUB room 1\r\n",
    b"PUB room 2\r\nhi\r\n",
    b"INFO {}\r\n",
    b"+OK\r\n",
    b"PONG\r\n",
    b"UNSUB 1\r\n",
    b"-ERR 'x'\r\n",
    b"FOO\r\n",
    b"\r\n",
    b"CONNECX\r\n",
    b"C\r\n",
    b"connect {\r\n",
)

_LOGINS = {
    "token": ("token", token("s3cr3t")),
    "wrong token": ("token", token("S3cr3t")),
    "empty token": ("token", token("")),
    "no token": ("token", connect(verbose=False)),
    "token as password": ("token", connect(verbose=False, user="s3cr3t")),
    "token as user and password": ("token", login("u", "s3cr3t")),
    "bcrypt token": ("bcrypt token", token("secret")),
    "wrong bcrypt token": ("bcrypt token", token(_BCRYPT)),
    "user": ("one user", login("u")),
    "wrong password": ("one user", login("u", "pW")),
    "wrong user": ("one user", login("v")),
    "user and no password": ("one user", connect(verbose=False, user="u")),
    "user, verbose": ("one user", login("u", verbose=True)),
    "user of many": ("users", login("u")),
    "bcrypt user": ("users", login("b", "secret")),
    "wrong bcrypt user": ("users", login("b", "Secret")),
    "hash as password": ("users", login("b", _BCRYPT)),
    "unknown user": ("users", login("nobody")),
    "nkey without signature": (
        "users",
        connect(verbose=False, nkey="UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"),
    ),
    "nkey with a wrong signature": (
        "users",
        connect(verbose=False, nkey="UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", sig="A" * 86),
    ),
    "nkey with a bad signature": (
        "users",
        connect(verbose=False, nkey="UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", sig="!"),
    ),
    "unknown nkey": ("users", connect(verbose=False, nkey="UX", sig="A" * 86)),
    "nkey as user": ("users", login("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", "")),
    "only for websockets": ("users", login("w")),
    "only for plain sockets": ("users", login("s")),
    "token where users are": ("users", token("pw")),
    "protocol 1": ("users", login("u", protocol=1)),
    "bad protocol and no login": ("users", connect(verbose=False, protocol=7)),
    "bad protocol and login": ("users", login("u", protocol=7)),
    "no_responders without headers": ("users", login("u", headers=False, no_responders=True)),
    "guest by default": ("no_auth_user", QUIET + b"PING\r\n"),
    "guest by name": ("no_auth_user", login("guest")),
    "user beside guest": ("no_auth_user", login("u")),
    "wrong user beside guest": ("no_auth_user", login("u", "no")),
    "token beside guest": ("no_auth_user", token("t")),
    "password alone beside guest": ("no_auth_user", connect(verbose=False, **{"pass": "x"})),
}


def _watched(user: str, said: bytes, pattern: bytes = b"room.>") -> tuple[tuple[str, bytes], ...]:
    return (("w", login("all") + b"SUB " + pattern + b" 9\r\n"), ("a", login(user, verbose=True) + said))


def _publishes(*subjects: bytes) -> bytes:
    return b"".join(pub(subject) for subject in subjects)


def _subscribes(*subjects: bytes) -> bytes:
    return b"".join(b"SUB %s %d\r\n" % (subject, sid) for sid, subject in enumerate(subjects, 1))


_TRIED = (
    b"room.a room.b room.w.x room.w.x.y room.t.x room.t.x.y room.t room.no room.no.x "
    b"room.ok.a room.ok.not room.default room.* room.>"
).split()
_USERS = ("all", "default", "none", "empty", "list", "deny", "both")
_QUEUE_SUBS = (
    b"room.q q1,room.q q2,room.q,room.any,room.any x,room.v v1.a,room.v v2.a,room.v,room.mix,room.mix only,"
    b"room.mix other,room.p eu.prod,room.p eu.dev,room.x eu.dev,room.x eu.prod"
).split(b",")


def _asked(user: str, *answers: bytes) -> tuple[tuple[str, bytes], ...]:
    """A responder of limited rights is asked once and tries these answers."""
    return (
        ("c", login("all") + b"SUB room.in.> 1\r\n"),
        ("s", login(user) + b"SUB room.ask 1\r\n"),
        ("c", pub(b"room.ask", b"?", b"room.in.1")),
        *(("s", answer) for answer in answers),
    )


_YES = pub(b"room.in.1", b"yes")

SCRIPTS = [
    *(
        script(f"{config}: first word {word!r}", word, config=config, rows="C08 SE01 SE02")
        for config in ("token", "users")
        for word in _FIRST_WORDS
    ),
    *(script(f"guest: first word {word!r}", word, config="no_auth_user", rows="SE19") for word in _FIRST_WORDS),
    *(
        script(
            f"login: {name}",
            said + b"SUB room.open.x 1\r\n" + pub(b"room.open.x") + pub(b"room.x"),
            config=config,
            rows="SE01 SE02 SE07 SE19",
        )
        for name, (config, said) in _LOGINS.items()
    ),
    script(
        "login lost by a second CONNECT",
        login("u") + b"SUB room 1\r\n",
        login("u", "wrong"),
        config="users",
        rows="SE02 C25",
    ),
    script(
        "login changed by a second CONNECT",
        login("list", verbose=True) + b"SUB room.a 1\r\n",
        login("deny", verbose=True) + _publishes(b"room.a", b"room.b"),
        config="permissions",
        rows="SE03 C25",
    ),
    script(
        "guest logs in later",
        b"SUB room.x 1\r\n",
        login("u", verbose=True) + b"SUB room.x 1\r\n" + pub(b"room.x"),
        config="no_auth_user",
        rows="SE19 C25",
    ),
    script(
        "guest before CONNECT is verbose",
        b"SUB room.open.x 1\r\n" + pub(b"room.open.x"),
        config="no_auth_user",
        rows="SE19",
    ),
    *(
        script(f"publish as {user}", *_watched(user, _publishes(*_TRIED)), config="permissions", rows="SE03")
        for user in _USERS
    ),
    *(
        script(
            f"subscribe as {user}",
            ("a", login(user, verbose=True) + _subscribes(*_TRIED)),
            ("w", login("all") + _publishes(*_TRIED)),
            config="permissions",
            rows="SE03 SE04",
            pooled=("a",),
        )
        for user in _USERS
    ),
    *(
        script(
            f"queue subscribe as {user} to {subject!r}",
            ("a", login(user, verbose=True) + b"SUB " + subject + b" 1\r\n"),
            ("w", login("all") + pub(subject.split()[0])),
            config="permissions",
            rows="SE05",
        )
        for user in ("queue", "dqueue")
        for subject in _QUEUE_SUBS
    ),
    script(
        "denied publish, verbose and pedantic",
        login("none", verbose=True, pedantic=True) + _publishes(b"room.a", b"room.*"),
        config="permissions",
        rows="SE03",
    ),
    script("denied HPUB", login("none") + hpub(b"room.a", b"NATS/1.0\r\n\r\n"), config="permissions", rows="SE03"),
    script(
        "denied publish with reply",
        login("none", no_responders=True) + pub(b"room.a", b"", b"room.in"),
        config="permissions",
        rows="SE03 C13",
    ),
    script(
        "denied subject with quotes",
        login("none") + pub(b'room."\\\x01\xc3\xa9\xff') + b'SUB room."\\\x01\xc3\xa9\xff 1\r\n',
        config="permissions",
        rows="SE03",
    ),
    script("same refused publish twice", login("none") + pub(b"room.a") * 2, config="permissions", rows="SE03"),
    script(
        "wide subscription over a denied subject",
        ("a", login("deny") + b"SUB room.* 1\r\n"),
        ("w", login("all") + _publishes(b"room.no", b"room.yes", b"room.no", b"room.yes")),
        config="permissions",
        rows="SE04",
    ),
    script(
        "wide queue subscription over a denied subject",
        ("a", login("deny") + b"SUB room.* q 1\r\n"),
        ("w", login("all") + _publishes(b"room.no", b"room.yes")),
        config="permissions",
        rows="SE04 SE05",
    ),
    script(
        "denied subject inside >",
        ("a", login("deny") + b"SUB room.> 1\r\n"),
        ("w", login("all") + _publishes(b"room.no.x.y", b"room.yes.x")),
        config="permissions",
        rows="SE04",
    ),
    script(
        "wide subscription over an allowed subject",
        login("list") + _subscribes(b"room.>", b"room.*", b"*.a", b"room.w.*", b"room.w.>", b"room.t.*.x"),
        config="permissions",
        rows="SE04",
        exclusive=True,
    ),
    script(
        "allowed subset of both",
        login("both") + _subscribes(b"room.ok.*", b"room.ok.>", b"room.ok", b"room.ok.not", b"room.ok.n.*"),
        config="permissions",
        rows="SE04",
    ),
    script("answer once", *_asked("answer", _YES), config="permissions", rows="SE06"),
    script("answer twice where once is allowed", *_asked("answer", _YES, _YES), config="permissions", rows="SE06"),
    script("answer elsewhere", *_asked("answer", pub(b"room.in.2")), config="permissions", rows="SE06"),
    script("answer unasked", login("answer") + _YES, config="permissions", rows="SE06"),
    script("answer twice of two", *_asked("twice", _YES, _YES, _YES), config="permissions", rows="SE06"),
    script(
        "answer and log",
        *_asked("twice", pub(b"room.log"), _YES, pub(b"room.other")),
        config="permissions",
        rows="SE06",
    ),
    script("answer endlessly", *_asked("endless", _YES * 12), config="permissions", rows="SE06"),
    script(
        "answer with headers",
        *_asked("answer", hpub(b"room.in.1", b"NATS/1.0\r\n\r\n")),
        config="permissions",
        rows="SE06",
    ),
    script(
        "answer with a reply of its own",
        *_asked("answer", pub(b"room.in.1", b"", b"room.more")),
        config="permissions",
        rows="SE06",
    ),
    script(
        "no responders for an unanswerable request",
        ("a", login("all", no_responders=True) + b"SUB room.in 1\r\n" + pub(b"room.ask", b"", b"room.in")),
        config="permissions",
        rows="SE06 C13",
    ),
    script("no login wanted, no nonce", MODERN, rows="SE07"),
]

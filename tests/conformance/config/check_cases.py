"""Configuration snippets whose `-t` verdict and text are the same with nats-server 2.15.1 and with ours.

Each snippet holds at most one problem: nats-server walks its keys in random order, so the order of several errors (and
which of two errors that depend on each other is seen) changes from run to run there.
"""

from __future__ import annotations

ACCOUNT_KEY = "AD3L26OOGZT3LGGJFE5RTUXKUND3SKKJ6NFIKJYJRUO6LG2JVA6GDCTG"
USER_KEY = "UACC537SVANQMN3PIM4MIDUOADFHPH2KKOMAQGBVXI57NWXJVBZW6PXR"

CHECK_CASES: dict[str, str] = {
    # -- grammar: valid
    "empty_file": "",
    "only_comments": "# nothing\n// here\n",
    "separators": 'port = 4222\nhost: "127.0.0.1"\nserver_name s1\n',
    "json_file": '{"port": 4222, "server_name": "s", "authorization": {"user": "a", "password": "b"}}',
    "json_file_with_newlines": '{\n  "port": 4222,\n  "server_tags": ["a", "b"]\n}\n',
    "block_then_more": "{port: 4222}\ndebug: true\n",
    "nested_braces": "{{port: 4222}, debug: true}",
    "stray_closing_brace": "port: 4222\n}\n",
    "semicolons_and_commas": "port: 4222; debug: true, trace: false\n",
    "single_slash_is_skipped": "port: 4222 / debug: true\n",
    "comment_after_value": "port: 4222 # the usual\nhost: localhost // here\n",
    "comment_sign_in_bare_string": "server_name: a#b\n",
    "quoted_keys": "\"port\": 4222\n'debug': true\n",
    "upper_case_keys": "PORT: 4222\nMax_Payload: 1MB\n",
    "duplicate_key_last_wins": "port: 1\nport: 4222\n",
    "bool_words": "debug: YES\ntrace: oFF\nlogtime: on\nsyslog: no\n",
    "size_suffixes": "max_payload: 1k\nmax_pending: 1gib\nmax_control_line: 4KB\nlog_size_limit: 5Mi\n",
    "negative_number": "max_subscriptions: -1\n",
    "float": "authorization { timeout: 1.5 }\n",
    "address_without_quotes": "listen: 127.0.0.1:4222\n",
    "escapes": 'server_name: "a\\x41\\t\\"b\\\\"\n',
    "escapes_in_bare_string": "server_name: a\\x41b\n",
    "utf8_and_html_characters_in_digest": 'server_metadata { "ключ": "<zürich> & \\xe2\\x82\\xac" }\n',
    "control_characters_in_digest": 'server_metadata { a: "\\x01\\x1f\\x7f\\n\\r\\t" }\n',
    "invalid_utf8_in_digest": 'server_metadata { a: "\\xff" }\n',
    "line_separator_in_digest": 'server_metadata { a: "\u2028" }\n',
    "block_string": "server_metadata { a: (\nline one\n line two )\n)\n }\n",
    "block_string_at_end": "server_name: (\nx\n)",
    "single_quoted_is_raw": "server_name: 'a\\n'\n",
    "string_ended_by_quote": "server_name: abc'\n",
    "number_then_letters_is_string": "server_name: 2nd\n",
    "value_on_next_line_in_map": "authorization { user:\n a\n password: b }\n",
    "value_on_next_line_after_space": "port \n 4222\n",
    "crlf": "port: 4222\r\ndebug: true\r\n",
    "array_by_newlines": "server_tags: [\n a\n b\n\n c ]\n",
    "array_with_comments": "server_tags: [ a, # one\n // two\n b ]\n",
    "bcrypt_literal": "authorization { user: a, password: $2a$11$ooo0ooo0ooo0ooo0ooo0oo }\n",
    "date": "a: 2020-01-02T03:04:05Z\nserver_metadata { b: x }\nc: $a\n",
    "byte_order_mark": "\ufeffport: 4222\n",
    # -- grammar: errors
    "missing_value": "port:\n",
    "missing_value_at_end": "port",
    "missing_value_after_newlines": "debug: true\nport\n\n",
    "key_separator_first": "= 5\n",
    "colon_in_map_first": "authorization { : x }\n",
    "two_values_on_a_line": "port 4222 foo 1\n",
    "unclosed_map": "authorization { user: a\n",
    "unclosed_map_in_key": "authorization { user",
    "unclosed_array": "server_tags: [ a\n",
    "unclosed_block": "{ port: 4222\n",
    "unclosed_string": 'server_name: "abc\n',
    "unclosed_single_string": "server_name: 'abc",
    "unclosed_quoted_key": '"abc: 1\n',
    "unclosed_quoted_map_key": 'authorization { "abc: 1\n',
    "unclosed_block_string": "server_name: (\nabc\n",
    "bad_escape": 'server_name: "a\\q"\n',
    "bad_hex_escape": 'server_name: "a\\xZZ"\n',
    "hex_escape_at_line_end": 'server_name: "a\\x4\n"\n',
    "float_without_leading_digit": "authorization { timeout: .5 }\n",
    "float_without_trailing_digit": "authorization { timeout: 5. }\n",
    "minus_alone": "port: -\n",
    "minus_dot": "port: -.5\n",
    "dash_in_number": "server_name: 10-20\n",
    "short_date": "a: 2020-1-1\n",
    "bad_date_letter": "a: 2020-01-01X00:00:00Z\n",
    "impossible_date": "a: 2020-13-01T00:00:00Z\n",
    "integer_too_big": "port: 99999999999999999999\n",
    "number_in_array_without_space": "server_tags: [1]\n",
    "array_without_commas": "server_tags: [ a b ]\n",
    "array_double_comma": "server_tags: [ a,, b ]\n",
    "array_end_in_map": "authorization { ] }\n",
    "map_value_comma": "authorization { user: , }\n",
    "map_without_commas": "authorization { user: a password: b }\n",
    "lone_slash": "/",
    "slash_then_key": "/port: 4222\n",
    "brace_glued_to_key": "accounts { A{users: []} }\n",
    "value_without_key_lands_outside": "authorization { user = }\n",
    # -- variables and includes
    "variable": "P = 4222\nport: $P\n",
    "variable_in_map_scope": "U: outer\nauthorization { U: a\n user: $U, password: b }\n",
    "variable_of_outer_scope": "U: a\nauthorization { user: $U, password: b }\n",
    "variable_in_array": "T: a\nserver_tags: [ $T, b ]\n",
    "unused_variable": "P = 4222\nport: 4222\n",
    "unknown_variable": "port: 4222\nhost: $NOPE_NOT_SET\n",
    "quoted_variable_is_text": 'server_name: "$P"\n',
    "environment_integer": "port: $CONF_PORT\n",
    "environment_string": "server_name: $CONF_NAME\n",
    "environment_quoted": "server_name: $CONF_QUOTED\n",
    "environment_map": "authorization: $CONF_MAP\n",
    "environment_refers_to_environment": "port: $CONF_PORT_REF\n",
    "environment_cycle": "port: $CONF_CYCLE\n",
    "environment_bad": "port: $CONF_BAD\n",
    "environment_wrong_type": "port: $CONF_NAME\n",
    "include": "include users.conf\nport: 4222\n",
    "include_quoted": "include 'users.conf'\n",
    "include_double_quoted": 'include "./users.conf"\n',
    "include_in_map": "authorization {\n include inner.conf\n}\n",
    "include_in_map_with_semicolon": "authorization { include inner.conf; timeout: 2 }\n",
    "include_nested_folder": "include sub/nested.conf\n",
    "include_missing": "include nope.conf\n",
    "include_bad": "include bad.conf\n",
    "include_number": "include 9.conf\n",
    "include_array": "include [a]\n",
    "include_without_name": "include\n",
    "include_unknown_key": "include unknown.conf\n",
    "include_in_json_is_a_key": '{"include": "users.conf"}\n',
    # -- unknown keys and types
    "unknown_key": "port: 4222\n  max_pyload: 5\n",
    "unknown_quoted_key": '"a b" : 5\n',
    "unknown_key_in_authorization": "authorization { usr: a }\n",
    "unknown_key_in_user": "authorization { users [ { user: a, password: b, x: 1 } ] }\n",
    "unknown_key_in_jetstream": "jetstream {\n  stored: x\n}\n",
    "unknown_key_in_jetstream_limits": "jetstream { limits { x: 1 } }\n",
    "unknown_key_in_batch": "jetstream { limits { batch { x: 1 } } }\n",
    "unknown_key_in_leafnodes": "leafnodes { x: 1 }\n",
    "unknown_key_in_remote": "leafnodes { remotes [ { url: nats://h:1, x: 1 } ] }\n",
    "unknown_key_in_websocket": "websocket { x: 1 }\n",
    "unknown_key_in_mqtt": "mqtt { x: 1 }\n",
    "unknown_key_in_cluster": "cluster { x: 1 }\n",
    "unknown_key_in_gateway": "gateway { x: 1 }\n",
    "unknown_key_in_account": "accounts { A { x: 1 } }\n",
    "unknown_key_in_tls": "tls { x: 1 }\n",
    "unknown_key_in_permissions": "authorization { users [ { user: a, permissions { x: 1 } } ] }\n",
    "unknown_key_in_publish": "authorization { users [ { user: a, permissions { publish { x: 1 } } } ] }\n",
    "unknown_key_in_limits": "accounts { A { limits { x: 1 } } }\n",
    "unknown_key_in_proxies": "proxies { x: 1 }\n",
    "type_port_string": 'port: "4222"\n',
    "type_port_bool": "port: true\n",
    "type_port_float": "port: 1.5\n",
    "type_debug_integer": "debug: 1\n",
    "type_server_name_integer": "server_name: 5\n",
    "type_server_name_map": "server_name { a: b }\n",
    "type_max_payload_array": "max_payload: [ a ]\n",
    "type_listen_bool": "listen: true\n",
    "type_accounts_entry": "accounts { A: 5 }\n",
    "type_mqtt": "mqtt: 5\n",
    "type_websocket": "websocket: true\n",
    "type_leafnodes": "leafnodes: x\n",
    "type_cluster": "cluster: x\n",
    "type_jetstream": "jetstream: 5\n",
    "type_tls": "tls: true\n",
    "type_system_account": "system_account: 5\n",
    # -- listeners
    "listen_host_port": 'listen: "localhost:4222"\n',
    "listen_ipv6": 'listen: "[::1]:4222"\n',
    "listen_port_only": "listen: 4222\n",
    "listen_without_port": 'listen: "localhost"\n',
    "listen_bad_port": 'listen: "localhost:abc"\n',
    "listen_ipv6_without_brackets": 'listen: "::1:4222"\n',
    "http_bad": 'http: "a:b:c"\n',
    "http_and_https": "http: 8222\nhttps: 8223\n",
    # -- limits and durations
    "max_payload_too_big": "max_payload: 9GB\n",
    "max_control_line_too_big": "max_control_line: 9GB\n",
    "max_sub_tokens_too_big": "max_sub_tokens: 256\n",
    "max_sub_tokens_zero": "max_subscription_tokens: 0\n",
    "max_connections_zero": "max_connections: 0\n",
    "ping_interval_duration": 'ping_interval: "30s"\n',
    "ping_interval_integer_warns": "ping_interval: 30\n",
    "ping_interval_unquoted_minutes_warns": "ping_interval: 2m\n",
    "ping_interval_bad": 'ping_interval: "abc"\n',
    "ping_interval_no_unit": 'ping_interval: "5"\n',
    "ping_interval_bad_unit": 'ping_interval: "5x"\n',
    "write_deadline_unquoted_seconds": "write_deadline: 5s\n",
    "write_deadline_bool": "write_deadline: 1.5\n",
    "write_timeout_values": "write_timeout: close\n",
    "write_timeout_bad": "write_timeout: never\n",
    "lame_duck_short": 'lame_duck_duration: "5s"\n',
    "lame_duck_fraction": 'lame_duck_duration: "1500ms"\n',
    "lame_duck_bad": 'lame_duck_duration: "x"\n',
    "lame_duck_grace_negative": 'lame_duck_grace_period: "-5s"\n',
    "server_name_space": 'server_name: "a b"\n',
    "server_tags_string": "server_tags: a\n",
    "server_tags_map": "server_tags { a: b }\n",
    "server_metadata_not_map": "server_metadata: a\n",
    "server_metadata_value": "server_metadata { a: 5 }\n",
    "feature_flags": "feature_flags { js_ack_fc_v2: true, unheard_of: false }\n",
    "feature_flags_type": "feature_flags { js_ack_fc_v2: 1 }\n",
    # -- authorization
    "single_user": "authorization { user: a, password: b }\n",
    "single_user_aliases": "authorization { username: a, pass: b }\n",
    "token": "authorization { token: s3cr3t }\n",
    "token_and_user": "authorization { user: a, password: b, token: c }\n",
    "token_and_users": "authorization { token: a, users [ { user: b, password: c } ] }\n",
    "user_and_users": "authorization { user: a, password: x, users [ { user: b, password: c } ] }\n",
    "empty_users_with_user": "authorization { user: a, password: x, users [ ] }\n",
    "duplicate_user": "authorization { users [ { user: a, password: b }, { user: a, password: c } ] }\n",
    "user_without_name": "authorization { users [ { password: b } ] }\n",
    "user_not_a_map": "authorization { users [ a ] }\n",
    "users_not_an_array": "authorization { users: 5 }\n",
    "nkey_user": f"authorization {{ users [ {{ nkey: {USER_KEY} }} ] }}\n",
    "nkey_bad": "authorization { users [ { nkey: UABC } ] }\n",
    "nkey_of_account": f"authorization {{ users [ {{ nkey: {ACCOUNT_KEY} }} ] }}\n",
    "auth_timeout_duration": 'authorization { timeout: "5s" }\n',
    "auth_timeout_long_warns": "authorization { timeout: 2m }\n",
    "auth_timeout_long_duration_warns": 'authorization { timeout: "2m" }\n',
    "auth_timeout_long_float_warns": "authorization { timeout: 61.5 }\n",
    "auth_timeout_bad": 'authorization { timeout: "x" }\n',
    "auth_timeout_type": "authorization { timeout: true }\n",
    "connection_types": "authorization { users [ { user: a, allowed_connection_types: [ standard, MQTT ] } ] }\n",
    "connection_type_unknown": "authorization { users [ { user: a, allowed_connection_types: [ foo ] } ] }\n",
    "no_auth_user_type": "no_auth_user: 5\n",
    "callout": (
        f"authorization {{ users [ {{ user: a, password: b }} ], "
        f"auth_callout {{ issuer: {ACCOUNT_KEY}, auth_users: [ a ] }} }}\n"
    ),
    "callout_bad_issuer": "authorization { auth_callout { issuer: x } }\n",
    "callout_without_issuer": "authorization { auth_callout { auth_users: [ a ] } }\n",
    "callout_without_users": f"authorization {{ auth_callout {{ issuer: {ACCOUNT_KEY} }} }}\n",
    "callout_unknown_key": f"authorization {{ auth_callout {{ issuer: {ACCOUNT_KEY}, auth_users: [a], x: 1 }} }}\n",
    "callout_unknown_account": (
        f"authorization {{ auth_callout {{ issuer: {ACCOUNT_KEY}, auth_users: [ a ], allowed_accounts: [ X ] }} }}\n"
    ),
    # -- permissions
    "permissions": (
        'authorization { default_permissions { publish: a, subscribe { allow: [ "b.>", "q g" ], deny: c } }\n'
        ' users [ { user: a, permissions { pub: [ x ], sub: "y.*", allow_responses: { max: 5, expires: "1m" } } } ] }\n'
    ),
    "permissions_responses_true": "authorization { users [ { user: a, permissions { allow_responses: true } } ] }\n",
    "permissions_responses_type": "authorization { users [ { user: a, permissions { allow_responses: 5 } } ] }\n",
    "permissions_responses_expires": (
        "authorization { users [ { user: a, permissions { allow_responses: { expires: 5 } } } ] }\n"
    ),
    "permissions_responses_bad_duration": (
        'authorization { users [ { user: a, permissions { allow_responses: { expires: "x" } } } ] }\n'
    ),
    "permissions_bad_subject": "authorization { users [ { user: a, permissions { publish: foo..x } } ] }\n",
    "permissions_bad_subject_in_allow": (
        "authorization { users [ { user: a, permissions { publish { allow: foo..x } } } ] }\n"
    ),
    "permissions_queue_on_publish": (
        'authorization { users [ { user: a, permissions { publish { allow: "a q" } } } ] }\n'
    ),
    "permissions_bad_queue": 'authorization { users [ { user: a, permissions { subscribe { deny: "a q..x" } } } ] }\n',
    "permissions_three_words": 'authorization { users [ { user: a, permissions { subscribe { deny: "a b c" } } } ] }\n',
    "permissions_type": "authorization { users [ { user: a, permissions: 5 } ] }\n",
    "permissions_subject_type": "authorization { users [ { user: a, permissions { publish: 5 } } ] }\n",
    "permissions_array_type": "authorization { users [ { user: a, permissions { publish: [ a, true ] } } ] }\n",
    "permissions_empty_map": "authorization { users [ { user: a, permissions { publish: { } } } ] }\n",
    # -- accounts
    "accounts": "accounts { A { users [ { user: a, password: b } ] }, B { } }\n",
    "accounts_array": "accounts: [ A, B ]\n",
    "accounts_array_duplicate": "accounts: [ A, A ]\n",
    "accounts_array_reserved": 'accounts: [ "$G" ]\n',
    "accounts_reserved": 'accounts { "$G" { } }\n',
    "accounts_system": 'accounts { "$SYS" { users [ { user: s, password: p } ] } }\n',
    "accounts_duplicate_user": ("accounts { A { users [ { user: a, password: b }, { user: a, password: c } ] } }\n"),
    "accounts_users_type": "accounts { A { users: 5 } }\n",
    "accounts_nkey": f"accounts {{ A {{ nkey: {ACCOUNT_KEY} }} }}\n",
    "accounts_nkey_bad": "accounts { A { nkey: abc } }\n",
    "accounts_limits": "accounts { A { limits { max_conn: 5, max_subs: 10, max_payload: 1kb, max_leafs: -1 } } }\n",
    "accounts_limits_type": "accounts { A { limits: 5 } }\n",
    "accounts_variable": "accounts { U: [ { user: a, password: b } ]\n A { users: $U } }\n",
    "accounts_jetstream_forms": (
        "accounts { A { jetstream: enabled }, B { jetstream: true }, C { jetstream: disabled },\n"
        " D { jetstream { max_mem: 1M, max_file: 1G, max_streams: 5, max_consumers: 5, max_ack_pending: 5,\n"
        " mem_max_stream_bytes: 1K, disk_max_stream_bytes: 1K, max_bytes_required: true, cluster_traffic: owner } } }\n"
    ),
    "accounts_jetstream_word": "accounts { A { jetstream: perhaps } }\n",
    "accounts_jetstream_type": "accounts { A { jetstream: 5 } }\n",
    "accounts_jetstream_size": 'accounts { A { jetstream { max_mem: "1G" } } }\n',
    "accounts_jetstream_required": "accounts { A { jetstream { max_bytes_required: 5 } } }\n",
    "accounts_cluster_traffic": "accounts { A { jetstream { cluster_traffic: x } } }\n",
    "accounts_msg_trace": 'accounts { A { msg_trace: "t.x" }, B { trace_dest { dest: a, sampling: "50%" } } }\n',
    "accounts_msg_trace_wildcard": 'accounts { A { msg_trace: "t.*" } }\n',
    "accounts_msg_trace_sampling": "accounts { A { msg_trace { dest: a, sampling: 101 } } }\n",
    "accounts_msg_trace_sampling_text": "accounts { A { msg_trace { dest: a, sampling: x } } }\n",
    "accounts_msg_trace_without_destination_warns": "accounts { A { msg_trace { sampling: 50 } } }\n",
    "accounts_msg_trace_unknown": "accounts { A { msg_trace { dest: a, x: 1 } } }\n",
    "accounts_msg_trace_type": "accounts { A { msg_trace: 5 } }\n",
    # -- exports and imports
    "share": (
        'accounts { A { exports [ { stream: "s.>" }, { service: "req.*", response_type: stream, threshold: "5s" },\n'
        " { service: lat, latency { sampling: 50, subject: m.lat } }, { stream: p, accounts: [ B ] } ] }\n"
        ' B { imports [ { stream { account: A, subject: "s.>" }, prefix: i}, { stream {account: A, subject: p}, to: q},'
        ' { service { account: A, subject: "req.*" }, to: "local.$1", share: true } ] } }\n'
    ),
    "export_unknown_account": "accounts { A { exports [ { stream: a, accounts: [ X ] } ] } }\n",
    "export_service_unknown_account": "accounts { A { exports [ { service: a, accounts: [ X ] } ] } }\n",
    "export_type": "accounts { A { exports: 5 } }\n",
    "export_item_type": "accounts { A { exports [ a ] } }\n",
    "export_response_type": "accounts { A { exports [ { service: a, response_type: x } ] } }\n",
    "export_threshold": "accounts { A { exports [ { service: a, threshold: x } ] } }\n",
    "export_threshold_type": "accounts { A { exports [ { service: a, threshold: 5 } ] } }\n",
    "export_latency_missing_subject": "accounts { A { exports [ { service: a, latency { sampling: 5 } } ] } }\n",
    "export_latency_sampling": "accounts { A { exports [ { service: a, latency { sampling: 500, subject: x } } ] } }\n",
    "export_latency_sampling_text": (
        "accounts { A { exports [ { service: a, latency { sampling: x, subject: y } } ] } }\n"
    ),
    "export_latency_headers": (
        "accounts { A { exports [ { service: a, latency { sampling: headers, subject: y } } ] } }\n"
    ),
    "export_latency_wildcard": 'accounts { A { exports [ { service: a, latency: "y.*" } ] } }\n',
    "export_latency_own_service": "accounts { A { exports [ { service: a, latency: a } ] } }\n",
    "export_latency_streamed": "accounts { A { exports [ { service: a, response_type: stream, latency: y } ] } }\n",
    "export_token_position": 'accounts { A { exports [ { stream: "a.*", account_token_position: 2 } ] } }\n',
    "export_token_position_bad": 'accounts { A { exports [ { stream: "a.*", account_token_position: 1 } ] } }\n',
    "export_unknown_key": "accounts { A { exports [ { stream: a, x: 1 } ] } }\n",
    "import_unknown_account": "accounts { A { imports [ { stream { account: X, subject: a } } ] } }\n",
    "import_service_unknown_account": "accounts { A { imports [ { service { account: X, subject: a } } ] } }\n",
    "import_not_authorized": (
        "accounts { A { exports [ { stream: a } ] }, B { imports [ { stream { account: A, subject: b } } ] } }\n"
    ),
    "import_service_not_authorized": (
        "accounts { A { exports [ { service: a, accounts: [ A ] } ] },"
        " B { imports [ { service { account: A, subject: a } } ] } }\n"
    ),
    "import_without_subject": "accounts { A { imports [ { stream { account: X } } ] } }\n",
    "import_stream_type": "accounts { A { imports [ { stream: x } ] } }\n",
    "import_service_type": "accounts { A { imports [ { service: x } ] } }\n",
    "import_type": "accounts { A { imports: x } }\n",
    "import_item_type": "accounts { A { imports [ x ] } }\n",
    "import_wildcard_prefix": (
        "accounts { A { exports [ { stream: a } ] },"
        ' B { imports [ { stream { account: A, subject: a }, prefix: "x.*" } ] } }\n'
    ),
    "import_duplicate_stream": (
        "accounts { A { exports [ { stream: a } ] }, B { imports [ { stream { account: A, subject: a } },"
        " { stream { account: A, subject: a } } ] } }\n"
    ),
    "import_duplicate_service": (
        "accounts { A { exports [ { service: a } ] }, B { imports [ { service { account: A, subject: a } },"
        " { service { account: A, subject: a } } ] } }\n"
    ),
    "import_mapping_loses_wildcards": (
        'accounts { A { exports [ { stream: "a.*.*" } ] },'
        ' B { imports [ { stream { account: A, subject: "a.*.*" }, to: "b.$1" } ] } }\n'
    ),
    "import_mapping_function": (
        'accounts { A { exports [ { stream: "a.*" } ] },'
        ' B { imports [ { stream { account: A, subject: "a.*" }, to: "b.{{partition(5,1)}}" } ] } }\n'
    ),
    # -- mappings
    "mappings": (
        'mappings { a: b, "c.*": "d.$1", "e.*.*": "f.{{wildcard(2)}}.{{partition(10,1,2)}}", "g.>": "h.>",\n'
        ' w: [ { destination: x, weight: 50% }, { dest: y, weight: "20%" } ], z: { dest: q, weight: 5, cluster: c } }\n'
    ),
    "mapping_functions": ('mappings { "a.*": "b.{{SplitFromLeft(1,2)}}", "c.*": "d.{{splitfromright(1,2)}}" }\n'),
    "mapping_function_names": (
        'mappings { "a.*": "b.{{SliceFromLeft(1,2)}}", "c.*": "d.{{sliceFromRight(1,2)}}", "e.*": "f.{{left(1,2)}}",'
        ' "g.*": "h.{{Right(1,2)}}", "i.*": "j.{{split(1,-)}}", k: "l.{{random(5)}}", m: "n.{{partition(3)}}" }\n'
    ),
    "mapping_bad_source": 'mappings { "a..b": c }\n',
    "mapping_unknown_function": 'mappings { "a.*": "b.{{foo(1)}}" }\n',
    "mapping_index": 'mappings { "a.*": "b.$2" }\n',
    "mapping_index_literal": 'mappings { "a": "b.$1" }\n',
    "mapping_star_in_destination": 'mappings { "a.*": "b.*" }\n',
    "mapping_tail_only_in_destination": 'mappings { "a": "b.>" }\n',
    "mapping_empty_token": 'mappings { "a": "b..c" }\n',
    "mapping_space": 'mappings { "a": "b c" }\n',
    "mapping_after_tail": 'mappings { "a.>": "b.>.c" }\n',
    "mapping_not_enough_arguments": 'mappings { "a.*": "b.{{split(1)}}" }\n',
    "mapping_too_many_arguments": 'mappings { "a.*": "b.{{wildcard(1,2)}}" }\n',
    "mapping_empty_arguments": 'mappings { "a.*": "b.{{wildcard()}}" }\n',
    "mapping_bad_argument": 'mappings { "a.*": "b.{{wildcard(x)}}" }\n',
    "mapping_bad_delimiter": 'mappings { "a.*": "b.{{split(1,. )}}" }\n',
    "mapping_weights_too_high": (
        'mappings { "a": [ { destination: b, weight: 60 }, { destination: c, weight: 60 } ] }\n'
    ),
    "mapping_duplicate_destination": (
        'mappings { "a": [ { destination: b, weight: 10 }, { destination: b, weight: 10 } ] }\n'
    ),
    "mapping_without_weight": 'mappings { "a": { destination: b } }\n',
    "mapping_bad_weight": 'mappings { "a": { destination: b, weight: 101 } }\n',
    "mapping_weight_text": 'mappings { "a": { destination: b, weight: "x%" } }\n',
    "mapping_weight_type": 'mappings { "a": { weight: true } }\n',
    "mapping_unknown_key": 'mappings { "a": { weight: 5, x: 1 } }\n',
    "mapping_type": 'mappings { "a": 5 }\n',
    "mappings_type": "mappings: 5\n",
    "account_mappings": 'accounts { A { mappings { "a.*": "b.$1" } } }\n',
    # -- TLS
    "tls_missing_key": 'tls { cert_file: "cert.pem" }\n',
    "tls_missing_cert": 'tls { key_file: "key.pem" }\n',
    "tls_no_such_file": 'tls { cert_file: "nope.pem", key_file: "key.pem" }\n',
    "tls_no_pem": 'tls { cert_file: "users.conf", key_file: "users.conf" }\n',
    "tls_valid": 'tls { cert_file: "cert.pem", key_file: "key.pem", ca_file: "cert.pem", verify: true, timeout: 5 }\n',
    "tls_key_mismatch": 'tls { cert_file: "cert.pem", key_file: "other-key.pem" }\n',
    "tls_no_ca": 'tls { ca_file: "nope.pem" }\n',
    "tls_bad_ca": 'tls { ca_file: "users.conf" }\n',
    "tls_only_options": 'tls { verify_and_map: true, handshake_first: auto, min_version: "1.3", timeout: "3s" }\n',
    "tls_cert_file_type": "tls { cert_file: 5 }\n",
    "tls_verify_type": "tls { verify: 5 }\n",
    "tls_timeout_type": "tls { timeout: true }\n",
    "tls_timeout_bad": 'tls { timeout: "x" }\n',
    "tls_min_version": 'tls { min_version: "1.1" }\n',
    "tls_min_version_unknown": 'tls { min_version: "2.0" }\n',
    "tls_min_version_type": "tls { min_version: 1.2 }\n",
    "tls_cipher": "tls { cipher_suites: [ TLS_AES_128_GCM_SHA256 ] }\n",
    "tls_cipher_unknown": "tls { cipher_suites: [ FOO ] }\n",
    "tls_cipher_empty": "tls { cipher_suites: [ ] }\n",
    "tls_cipher_insecure": "tls { cipher_suites: [ TLS_RSA_WITH_RC4_128_SHA ] }\n",
    "tls_cipher_insecure_allowed": (
        "tls { cipher_suites: [ TLS_RSA_WITH_RC4_128_SHA ], allow_insecure_cipher_suites: true }\n"
    ),
    "tls_curve_unknown": "tls { curve_preferences: [ FOO ] }\n",
    "tls_pinned": f"tls {{ pinned_certs: [ {'aB' * 32} ] }}\n",
    "tls_pinned_bad": "tls { pinned_certs: [ abc ] }\n",
    "tls_pinned_type": "tls { pinned_certs: abc }\n",
    "tls_handshake_first_bad": "tls { handshake_first: abc }\n",
    "tls_handshake_first_type": "tls { handshake_first: 5 }\n",
    "tls_handshake_first_duration": 'tls { handshake_first: "300ms" }\n',
    "tls_rate_limit_type": "tls { connection_rate_limit: x }\n",
    "tls_known_urls": "tls { verify_cert_and_check_known_urls: true }\n",
    "tls_certs_type": "tls { certs: x }\n",
    "tls_certs_incomplete": 'tls { certs: [ { cert_file: "cert.pem" } ] }\n',
    "tls_certs": 'tls { certs: [ { cert_file: "cert.pem", key_file: "key.pem" } ] }\n',
    "tls_ocsp_peer": 'tls { ocsp_peer: { verify: true, ca_timeout: 2, allowed_clockskew: "30s" } }\n',
    # -- JetStream
    "jetstream_true": "jetstream: true\n",
    "jetstream_enabled": "jetstream: enabled\n",
    "jetstream_word": "jetstream: maybe\n",
    "jetstream_block": (
        'jetstream { store_dir: x, max_mem: 1G, max_file: "10G", domain: edge, sync_interval: always, strict: false,\n'
        " max_outstanding_catchup: 1M, max_buffered_size: 64MB, max_buffered_msgs: 1000, request_queue_limit: 5,\n"
        ' unique_tag: "Az:", limits { max_ack_pending: 5, duplicate_window: "1m", default_max_consumers: 7,\n'
        ' batch { max_inflight_per_stream: 5, timeout: "1s" } } }\n'
    ),
    "jetstream_size_text": 'jetstream { max_mem: "1X" }\n',
    "jetstream_size_not_number": 'jetstream { max_file: "xG" }\n',
    "jetstream_size_type": "jetstream { max_file: true }\n",
    "jetstream_strict_type": "jetstream { strict: x }\n",
    "jetstream_store_twice": "store_dir: a\njetstream { store_dir: b }\n",
    "jetstream_cipher": "jetstream { cipher: rot13 }\n",
    "jetstream_duplicate_window": 'jetstream { limits { duplicate_window: "x" } }\n',
    "jetstream_limits_type": "jetstream { limits: 5 }\n",
    "jetstream_buffered_type": "jetstream { max_buffered_msgs: x }\n",
    "jetstream_concurrent_io": "jetstream { max_concurrent_io: 1 }\n",
    "jetstream_meta_compact": "jetstream { meta_compact: -1 }\n",
    "jetstream_tpm": "jetstream { tpm { keys_file: x, pcr: 5 } }\n",
    "default_js_domain": 'default_js_domain { A: "x" }\n',
    "default_js_domain_type": "default_js_domain: x\n",
    # -- leaf nodes
    "leaf_listener": "leafnodes { port: 7422, no_advertise: true, authorization { user: a, password: b, account: A } }",
    "leaf_users": "leafnodes { authorization { users [ { user: a, password: b, account: A } ] } }\n",
    "leaf_user_and_users": "leafnodes { authorization { user: x, users [ { user: a } ] } }\n",
    "leaf_duplicate_user": "leafnodes { authorization { users [ { user: a }, { user: a } ] } }\n",
    "leaf_nkey_bad": "leafnodes { authorization { nkey: x } }\n",
    "leaf_remote": (
        'leafnodes { remotes [ { url: "nats-leaf://u:p@hub:7422", account: A, deny_imports: [ "a.>" ], deny_exports: b,'
        ' hub: false, compression: s2_fast, first_info_timeout: "5s" } ], reconnect: "2s" }\n'
    ),
    "leaf_remote_urls": 'leafnodes { remotes [ { urls: [ "nats://a:1", "nats://b:2" ], no_randomize: true } ] }\n',
    "leaf_remote_urls_duplicate_warns": 'leafnodes { remotes [ { urls: [ "nats://a:1", "nats://a:1" ] } ] }\n',
    "leaf_remote_duplicate": 'leafnodes { remotes [ { url: "nats://a:1" }, { url: "nats://a:1" } ] }\n',
    "leaf_remote_bad_url": 'leafnodes { remotes [ { url: "nats://a:x" } ] }\n',
    "leaf_remote_no_scheme": 'leafnodes { remotes [ { url: "127.0.0.1:7422" } ] }\n',
    "leaf_remote_host_as_scheme": 'leafnodes { remotes [ { url: "hub:7422" } ] }\n',
    "leaf_remote_url_type": "leafnodes { remotes [ { url: 5 } ] }\n",
    "leaf_remote_seed_bad": 'leafnodes { remotes [ { url: "nats://a:1", nkey: abc } ] }\n',
    "leaf_remote_creds": 'leafnodes { remotes [ { url: "nats://a:1", credentials: "~/x.creds" } ] }\n',
    "leaf_remote_deny_bad": 'leafnodes { remotes [ { url: "nats://a:1", deny_imports: "a..b" } ] }\n',
    "leaf_remote_not_map": "leafnodes { remotes [ a ] }\n",
    "leaf_remotes_type": "leafnodes { remotes: a }\n",
    "leaf_min_version": 'leafnodes { min_version: "2.8.0" }\n',
    "leaf_min_version_low": 'leafnodes { min_version: "2.7.9" }\n',
    "leaf_min_version_bad": "leafnodes { min_version: abc }\n",
    "leaf_compression_unknown_passes_check": "leafnodes { compression: zip }\n",
    "leaf_compression_map": 'leafnodes { compression { mode: s2_auto, rtt_thresholds: [ "10ms", "20ms" ] } }\n',
    "leaf_compression_type": "leafnodes { compression: 5 }\n",
    "leaf_compression_bad_duration": 'leafnodes { compression { rtt_thresholds: [ "x" ] } }\n',
    "leaf_migrate": 'leafnodes { remotes [ { url: "nats://a:1", js_cluster_migrate { leader_migrate_delay: "5s" }}]}',
    "leaf_migrate_type": 'leafnodes { remotes [ { url: "nats://a:1", js_cluster_migrate: 5 } ] }\n',
    "leaf_proxy_scheme": 'leafnodes { remotes [ { url: "ws://a:1", proxy { url: "ftp://p:1" } } ] }\n',
    "leaf_proxy_host": 'leafnodes { remotes [ { url: "ws://a:1", proxy { url: "http://" } } ] }\n',
    "leaf_proxy_user": 'leafnodes { remotes [ { url: "ws://a:1", proxy { url: "http://p:1", username: a } } ] }\n',
    "leaf_proxy_tcp": 'leafnodes { remotes [ { url: "nats://a:1", proxy { url: "http://p:1" } } ] }\n',
    "leaf_proxy_wss_without_tls": 'leafnodes { remotes [ { url: "wss://a:1", proxy { url: "http://p:1" } } ] }\n',
    "leaf_timeout_long_warns": "leafnodes { authorization { timeout: 90 } }\n",
    # -- websocket, MQTT
    "websocket": (
        'websocket { port: 8080, no_tls: true, same_origin: true, allowed_origins: [ "http://a" ], compression: true,\n'
        ' handshake_timeout: "2s", headers { X: y }, jwt_cookie: c, ping_interval: "30s",\n'
        " authorization { user: a, password: b, timeout: 1 } }\n"
    ),
    "websocket_handshake_type": "websocket { handshake_timeout: true }\n",
    "websocket_handshake_bad": "websocket { handshake_timeout: x }\n",
    "websocket_origins_type": "websocket { allowed_origins: 5 }\n",
    "websocket_origins_element": "websocket { allowed_origins: [ true ] }\n",
    "websocket_headers_type": "websocket { headers: 5 }\n",
    "websocket_header_value": "websocket { headers { A: 5 } }\n",
    "websocket_authorization_unknown": "websocket { authorization { users: [] } }\n",
    "mqtt": (
        'mqtt { port: 1883, ack_wait: "5s", max_ack_pending: 100, js_domain: d, stream_replicas: 1,\n'
        ' consumer_inactive_threshold: "1h", reject_qos2_publish: true, authorization { token: x } }\n'
    ),
    "mqtt_max_ack_pending": "mqtt { max_ack_pending: 70000 }\n",
    "mqtt_consumer_replicas_warns": "mqtt { consumer_replicas: 1 }\n",
    "mqtt_ack_wait_warns": "mqtt { ack_wait: 5 }\n",
    # -- cluster, gateway
    "cluster": (
        'cluster { name: c, listen: "0.0.0.0:6222", routes: [ "nats://a:1" ], pool_size: 3, compression: on,\n'
        ' authorization { user: a, password: b }, permissions { import: a, export: "b.>" }, accounts: [ A ] }\n'
    ),
    "cluster_name_space": 'cluster { name: "a b" }\n',
    "cluster_users": "cluster { authorization { users [ { user: a } ] } }\n",
    "cluster_token": "cluster { authorization { token: a } }\n",
    "cluster_permissions_deprecated_warns": "cluster { authorization { permissions { publish: a } } }\n",
    "cluster_permissions_responses": "cluster { permissions { allow_responses: true } }\n",
    "cluster_permissions_queue": 'cluster { permissions { export { allow: "a q" } } }\n',
    "cluster_route_bad": 'cluster { routes: [ "nats://a:x" ] }\n',
    "cluster_route_duplicate_warns": 'cluster { routes: [ "nats://a:1", "nats://a:1" ] }\n',
    "cluster_ping_interval_warns": 'cluster { ping_interval: "1m" }\n',
    "gateway": 'gateway { name: g, port: 7222, gateways: [ { name: h, url: "nats://a:1" } ] }\n',
    "gateway_name_space": 'gateway { name: "a b" }\n',
    "gateway_gateways_type": "gateway { gateways: x }\n",
    "gateway_token": "gateway { authorization { token: a } }\n",
    # -- operator mode, proxies, OCSP
    "operator_missing_file": "operator: nope.jwt\n",
    "operator_type": "operator: 5\n",
    "operator_garbage": "operator: users.conf\n",
    "trusted_keys_bad": "trusted_keys: abc\n",
    "trusted_keys_type": "trusted_keys: 5\n",
    "resolver_memory": "resolver: MEMORY\n",
    "resolver_bad": "resolver: foo\n",
    "resolver_type": "resolver: 5\n",
    "resolver_cache_sync": 'resolver { type: cache, dir: ".", interval: "1m" }\n',
    "resolver_cache_delete": 'resolver { type: cache, dir: ".", allow_delete: true }\n',
    "resolver_full_ttl": 'resolver { type: full, dir: ".", ttl: "1m" }\n',
    "resolver_full_hard_delete": 'resolver { type: full, dir: ".", hard_delete: true }\n',
    "resolver_unknown_type": 'resolver { type: foo, dir: "." }\n',
    "resolver_bad_interval": 'resolver { type: full, dir: ".", interval: x }\n',
    "resolver_preload_type": "resolver_preload: x\n",
    "resolver_preload_value": "resolver_preload { A: 5 }\n",
    "resolver_preload_jwt": "resolver_preload { A: x }\n",
    "resolver_pinned_type": "resolver_pinned_accounts: 5\n",
    "proxies": f"proxies {{ trusted: [ {{ key: {USER_KEY} }} ] }}\n",
    "proxies_bad_key": "proxies { trusted: [ { key: x } ] }\n",
    "proxies_type": "proxies: x\n",
    "proxies_trusted_type": "proxies { trusted: x }\n",
    "ocsp_bool": "ocsp: true\n",
    "ocsp_type": "ocsp: 5\n",
    "ocsp_mode": "ocsp { mode: x }\n",
    "ocsp_mode_type": "port: 4222\n  ocsp { mode: 5 }\n",
    "default_js_domain_value": "port: 4222\n  default_js_domain { A: 5 }\n",
    "ocsp_unknown": "ocsp { x: 1 }\n",
    "ocsp_urls": 'ocsp { urls: [ "http://a" ] }\n',
    "ocsp_cache": "ocsp_cache { type: local, save_interval: 10 }\n",
    "ocsp_cache_type": "ocsp_cache { type: x }\n",
}

ENVIRONMENT = {
    "CONF_PORT": "4222",
    "CONF_NAME": "edge-1",
    "CONF_QUOTED": '"4222"',
    "CONF_MAP": "{ user: a, password: b }",
    "CONF_PORT_REF": "$CONF_PORT",
    "CONF_CYCLE": "$CONF_CYCLE",
    "CONF_BAD": '"unclosed',
    "HOME": "/srv/somebody",
}
FILES = {
    "users.conf": "authorization { users [ { user: a, password: b } ] }\n",
    "inner.conf": "user: a\npassword: b\n",
    "sub/nested.conf": "include other.conf\n",
    "sub/other.conf": "debug: true\n",
    "bad.conf": "port:\n",
    "unknown.conf": "\n\n  foo: 1\n",
}

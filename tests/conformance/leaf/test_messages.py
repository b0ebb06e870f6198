"""Interest and messages over a link: plain, queue groups, requests, headers, imports, mappings (specification 2)."""

from __future__ import annotations

from functools import partial

import pytest

from tests.conformance.leaf.pairs import (
    Client,
    Pair,
    PairStarter,
    eventually,
    leafs_of,
    wait_interest,
    wait_no_interest,
)
from tests.support.servers import ServerProcess


def both_ways(pair: Pair) -> list[tuple[ServerProcess, ServerProcess]]:
    """(sender's server, receiver's server) for each direction."""
    return [(pair.edge, pair.hub), (pair.hub, pair.edge)]


def asks_three_times(server: ServerProcess) -> bool:
    """Whether the peer told plain interest in `job` and two groups'."""
    return [subject for leaf in leafs_of(server) for subject in leaf["subscriptions_list"]].count("job") == 3


@pytest.mark.capability("LF02", "LF16")
def test_messages_and_headers_go_both_ways(start_pair: PairStarter) -> None:
    pair = start_pair()
    for here, there in both_ways(pair):
        with Client(here) as sender, Client(there) as receiver:
            receiver.subscribe("foo.*")
            wait_interest(here, "foo.*")
            sender.publish("foo.1", b"plain")
            assert receiver.next_message() == (b"foo.1", b"1", b"plain")
            sender.send(b"HPUB foo.2 reply.to 18 21\r\nNATS/1.0\r\na: b\r\n\r\nhey\r\n")
            assert receiver.next_operation() == b"HMSG foo.2 1 reply.to 18 21\r\nNATS/1.0\r\na: b\r\n\r\nhey\r\n"
            payload = bytes(range(256)) * 2000
            sender.publish("foo.3", payload)
            assert receiver.next_operation() == b"MSG foo.3 1 512000\r\n" + payload + b"\r\n"


@pytest.mark.capability("LF02", "LF16")
def test_interest_comes_late_and_goes(start_pair: PairStarter) -> None:
    pair = start_pair()
    for here, there in both_ways(pair):
        with Client(here) as sender, Client(there) as receiver:
            sender.publish("late", b"nobody yet")
            receiver.subscribe("late", "1")
            receiver.subscribe("late", "2")
            wait_interest(here, "late")
            receiver.ask(b"UNSUB 1\r\n")
            sender.publish("late", b"one is left")
            assert receiver.next_message() == (b"late", b"2", b"one is left")
            receiver.ask(b"UNSUB 2\r\n")
            wait_no_interest(here, "late")
            sent = leafs_of(here)[0]["out_msgs"]
            sender.publish("late", b"too late")
            assert leafs_of(here)[0]["out_msgs"] == sent
            # Several matching interests make one message on the wire.
            for sid, subject in enumerate(("m.*", "m.>", "m.1")):
                receiver.subscribe(subject, str(sid))
            wait_interest(here, "m.*", "m.>", "m.1")
            sender.publish("m.1", b"x")
            assert sorted(receiver.next_message()[1] for _ in range(3)) == [b"0", b"1", b"2"]
            assert leafs_of(here)[0]["out_msgs"] == sent + 1


@pytest.mark.capability("LF02", "LF16")
def test_the_interest_there_is_is_told_when_the_link_comes_up(start_pair: PairStarter) -> None:
    pair = start_pair()
    with Client(pair.edge) as edge_client, Client(pair.hub) as hub_client:
        edge_client.subscribe("from.edge.>", queue="workers")
        hub_client.subscribe("from.hub.>")
        wait_interest(pair.edge, "from.hub.>")
        pair.edge.wait_for_log(r"Leafnode connection created for account")
        with Client(pair.edge) as late:
            for number in range(200):
                late.send(b"SUB many.%d %d\r\n" % (number, number))
            late.ask()
            wait_interest(pair.hub, *(f"many.{number}" for number in range(200)))


@pytest.mark.capability("LF03", "LF16")
def test_queue_groups_span_the_link_and_prefer_their_own_side(start_pair: PairStarter) -> None:
    pair = start_pair()
    for here, there in both_ways(pair):
        with Client(here) as sender, Client(there) as far, Client(there) as far_other:
            far.subscribe("job", queue="workers")
            far_other.subscribe("job", queue="workers")
            far_other.subscribe("job", "2", queue="loggers")
            far_other.subscribe("job", "3")
            wait_interest(here, "job")
            eventually(partial(asks_three_times, here), "plain interest and two groups")
            for number in range(20):
                sender.publish("job", b"%d" % number)
            answers = b""
            while answers.count(b"MSG job") < 60:
                answers += far.ask() + far_other.ask()
            assert [answers.count(b"MSG job %d " % sid) for sid in (1, 2, 3)] == [20, 20, 20]
            with Client(here) as near:
                near.subscribe("job", queue="workers")
                for number in range(20):
                    sender.publish("job", b"%d" % number)
                assert near.ask().count(b"MSG job 1 ") == 20
                answers = b""
                while answers.count(b"MSG job 2 ") < 20 or answers.count(b"MSG job 3 ") < 20:
                    answers += far.ask() + far_other.ask()
                assert answers.count(b"MSG job 1 ") == 0


@pytest.mark.capability("LF04", "LF16")
def test_a_request_finds_its_service_and_the_answer_its_way_back(start_pair: PairStarter) -> None:
    pair = start_pair()
    for here, there in both_ways(pair):
        with Client(here) as asking, Client(there) as service:
            service.subscribe("svc", queue="wk")
            wait_interest(here, "svc")
            for number in range(5):
                # The inbox is subscribed and used in one write: its interest must be there before the request.
                inbox = b"_INBOX.%s.%d" % (here.kind.value.encode(), number)
                asking.send(b"SUB %b 9\r\nPUB svc %b 3\r\nreq\r\n" % (inbox, inbox))
                request = service.next_operation()
                assert request == b"MSG svc 1 %b 3\r\nreq\r\n" % inbox
                service.publish(inbox.decode(), b"answer")
                assert asking.next_message() == (inbox, b"9", b"answer")
                asking.ask(b"UNSUB 9\r\n")


@pytest.mark.capability("LF04", "LF16")
def test_a_service_import_is_called_through_the_link(start_pair: PairStarter) -> None:
    accounts = """accounts {
      A { users: [ {user: a, password: pw} ], imports: [ {service: {account: B, subject: help}, to: ask} ] }
      B { users: [ {user: b, password: pw} ], exports: [ {service: help} ] }
    }"""
    pair = start_pair(hub=accounts, url="nats-leaf://a:pw@127.0.0.1:{port}")
    with Client(pair.hub, "b") as service, Client(pair.edge) as asking:
        service.subscribe("help")
        wait_interest(pair.edge, "ask")
        asking.send(b"SUB inbox 1\r\nPUB ask inbox 2\r\nhi\r\n")
        head = service.next_operation().split()
        # nats-server and we add a trace of the requester to what crosses accounts: HMSG.
        assert (head[0], head[1], head[-1]) == (b"HMSG", b"help", b"hi")
        service.publish(head[3].decode(), b"done")
        assert asking.next_message() == (b"inbox", b"1", b"done")


@pytest.mark.capability("LF02", "LF16")
def test_a_stream_import_of_the_hub_reaches_the_edge(start_pair: PairStarter) -> None:
    accounts = """accounts {
      A { users: [ {user: a, password: pw} ], imports: [ {stream: {account: B, subject: "news.>"}, prefix: in} ] }
      B { users: [ {user: b, password: pw} ], exports: [ {stream: "news.>"} ] }
    }"""
    pair = start_pair(hub=accounts, url="nats-leaf://a:pw@127.0.0.1:{port}")
    with Client(pair.hub, "b") as source, Client(pair.edge) as reader:
        reader.subscribe("in.news.>")
        wait_interest(pair.hub, "in.news.>")
        source.publish("news.1", b"x")
        assert reader.next_message() == (b"in.news.1", b"1", b"x")


@pytest.mark.capability("LF02", "LF16")
def test_a_mapping_applies_to_what_comes_over_the_link(start_pair: PairStarter) -> None:
    pair = start_pair(hub="mappings = { old.*: new.$1 }")
    wait_interest(pair.edge, "old.*")
    with Client(pair.hub) as reader, Client(pair.edge) as sender:
        reader.subscribe("new.*")
        reader.subscribe("new.*", "2", queue="q")
        sender.publish("old.x", b"m")
        assert sorted(reader.next_message() for _ in range(2)) == [(b"new.x", b"1", b"m"), (b"new.x", b"2", b"m")]


@pytest.mark.capability("LF02", "LF18")
def test_a_hub_relays_between_its_edges(start_pair: PairStarter) -> None:
    pair = start_pair()
    port = pair.hub.port("leafnode")
    config = f"""http: "127.0.0.1:-1"
server_name: second
leafnodes {{ remotes: [ {{ url: "nats-leaf://127.0.0.1:{port}" }} ] }}"""
    second = start_pair.start_server(start_pair.edge_kind, config=config)
    with Client(second) as far, Client(pair.edge) as near:
        far.subscribe("east.west")
        far.subscribe("group", "2", queue="q")
        wait_interest(pair.edge, "east.west", "group")
        near.publish("east.west", b"hello")
        near.publish("group", b"one")
        assert {far.next_message(), far.next_message()} == {(b"east.west", b"1", b"hello"), (b"group", b"2", b"one")}
        far.ask(b"UNSUB 1\r\n")
        wait_no_interest(pair.edge, "east.west")

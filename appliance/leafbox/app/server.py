"""The core server: builds the parts from options, starts and stops them in order, reloads, and enters lame duck mode.

Owns lifetimes and wiring, no protocol. Start is: storage and JetStream, listeners, then "Server is ready"; stopping
runs backwards, so that nothing is accepted that could no longer be stored."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from leafbox.app import logs
from leafbox.app.bridges import Bridges
from leafbox.app.callout import auth_callout
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.reload import Changes, compare
from leafbox.app.configuration.unsupported import check_supported
from leafbox.app.control import ControlChannel
from leafbox.app.dashboard.service import Dashboard
from leafbox.app.devices import Devices
from leafbox.app.jetstream import DurableSide, limits_of
from leafbox.app.jetstream_report import JetstreamReporter
from leafbox.app.listeners import addresses, advertised, shown, tls_listeners
from leafbox.app.monitoring import ServerFeatures, server_facts, server_stamp
from leafbox.app.mqtt import MqttSide
from leafbox.app.operations.service import Operations
from leafbox.app.operator import follow_operator, resolve_operator, start_claims
from leafbox.app.ports_file import RunFiles
from leafbox.app.supervisor import Supervisor
from leafbox.app.uplink import start_uplinks, uplink_facts
from leafbox.broker.account import Account
from leafbox.broker.broker import Broker
from leafbox.broker.config import ConnectionType
from leafbox.broker.identity import ServerIdentity
from leafbox.broker.imports import check_imports
from leafbox.clients.client import ClientConnection
from leafbox.clients.context import ClientContext, ListenerFacts
from leafbox.clients.listener import ClientListener, bind
from leafbox.clients.reevaluation import reevaluate, send_surplus_away
from leafbox.clients.websocket_listener import WebsocketListener
from leafbox.clients.websocket_upgrade import UpgradeHandler, UpgradeKind
from leafbox.dataplane.connection import Connection
from leafbox.leaf.context import LeafContext
from leafbox.leaf.service import LeafService
from leafbox.leaf.uplink_service import Uplinks
from leafbox.monitoring.box_services import BoxServices
from leafbox.monitoring.documents import MonitoringDocuments
from leafbox.monitoring.endpoints import Endpoints
from leafbox.monitoring.http import MonitoringListener
from leafbox.monitoring.system_events import SystemEvents
from leafbox.monitoring.system_services import SystemServices
from leafbox.monitoring.varz import ServerFacts
from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.authentication import Authenticator, ListenerRules
from leafbox.security.device_users import DeviceAuthenticator
from leafbox.security.operator import OperatorMode
from leafbox.security.passwords import PasswordVerifier
from leafbox.security.tls import TlsListener, server_context

# How often blocked writers are checked against the write deadline.
SWEEP_S = 0.5


class Server:
    """One core server on the running loop. `start` raises OSError or ConfigError and leaves nothing behind."""

    def __init__(self, options: Options, tasks: asyncio.TaskGroup, data: Path | None = None) -> None:
        """`data`: the box's own directory; without one it is a bare server, without dashboard and control channel."""
        options, operator = resolve_operator(options)
        self.options = options
        self._tasks = tasks
        self.logger = logging.getLogger("leafbox.server")
        self.keys, self.curve_keys = KeyPair.create(KeyRole.SERVER), KeyPair.create(KeyRole.CURVE)
        self.identity = ServerIdentity(
            server_id=self.keys.public,
            name=options.server.name or self.keys.public,
            xkey=self.curve_keys.public,
            start_ns=time.time_ns(),
            cluster=options.cluster.name if options.cluster.is_configured else "",
        )
        self.passwords = PasswordVerifier(asyncio.get_running_loop())
        self.broker = Broker(asyncio.get_running_loop(), self.identity, options.broker)
        self.run_files = RunFiles(options.server.pid_file, options.server.ports_file_directory)
        self.config_load_ns = self.identity.start_ns
        self.is_lame_duck = False
        self._is_stopping = False
        self.stopped = asyncio.Event()
        self.devices = None if data is None else Devices(self, data)
        self.authenticator = self._authenticator(options, operator)
        self._listeners: dict[str, ClientListener] = {}
        self._monitoring: MonitoringListener | None = None
        self.upgrade_handlers: dict[UpgradeKind, UpgradeHandler] = {}
        self.features = ServerFeatures(ServerFacts(), self._is_accepting)
        self.monitoring = MonitoringDocuments(self.broker, self.features)
        self.leafs = self._leaf_service(options)
        self.features.leafs = self.leafs.snapshots
        stamp = server_stamp(self.broker, self.features)
        self.events = SystemEvents(self.broker, stamp, self.monitoring.statsz)
        self.system_services = SystemServices(self.broker, self.features, self.monitoring, self.events, stamp, self)
        start_claims(self, stamp.document, tasks)
        self.reloader: Callable[[], Options] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.contexts: list[ClientContext] = []
        self.on_stop: list[Callable[[], None]] = []
        self.durable: DurableSide | None = None
        self.uplinks: Uplinks | None = None
        self.mqtt: MqttSide | None = None
        self.control = None if data is None else ControlChannel(self.broker, self.passwords, tasks, data)
        self.services = BoxServices(tasks, lambda origin: self.control is not None and self.control.is_own(origin))
        self.operations = None if data is None else Operations(self, data, tasks)
        self.supervisor = Supervisor(tasks, self._child_ended)
        self.dashboard = None if data is None else Dashboard(self, data)

    def _authenticator(self, options: Options, operator: OperatorMode | None) -> Authenticator:
        listeners = (options.clients.tls, options.websocket.tls, options.mqtt.tls)
        maps_certificates = any(tls is not None and tls.is_peer_mapped_to_user for tls in listeners)
        follow_operator(self, operator, options.security.operator)
        make: Callable[..., Authenticator] = partial(Authenticator, options.security, self.passwords)
        if self.devices is not None:
            make = partial(DeviceAuthenticator, options.security, self.passwords, self.devices.users, self.devices.seen)
        callout = auth_callout(options, self.broker, self.keys, self.curve_keys)
        return make(operator=operator, callout=callout, maps_certificates_somewhere=maps_certificates)

    def _leaf_service(self, options: Options) -> LeafService:
        context = LeafContext(
            self.broker,
            options.leaf,
            self._tasks,
            cluster_name=options.cluster.name,
            has_jetstream=self._has_jetstream,
            domain=lambda: self.options.jetstream.domain if self.durable is not None else "",
            connect_error_reports=options.server.connect_error_reports,
            reconnect_error_reports=options.server.reconnect_error_reports,
        )
        return LeafService(context, self.passwords, self.authenticator)

    def _has_jetstream(self, account: Account) -> bool:
        return self.durable is not None and not account.is_system and limits_of(self.options, account.name) is not None

    # -- start --------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind everything, then say so in the fixed start-up lines."""
        self.logger.info("Starting nats-server")
        self.logger.info("  Version:  %s", self.identity.version)
        self.logger.info("  Git:      [%s]", self.identity.git_commit or "not set")
        self.logger.info("  Name:     %s", self.identity.name)
        self.logger.info("  ID:       %s", self.identity.server_id)
        if self.options.config_file:
            self.logger.info("Using configuration file: %s (%s)", self.options.config_file, self.options.config_digest)
        for warning in check_supported(self.options):
            self.logger.warning("%s", warning)
        if self.authenticator.has_plain_secrets:
            self.logger.warning("Plaintext passwords detected, use nkeys or bcrypt")
        self.run_files.write_pid()
        self._start_durable()
        await self._start_monitoring()
        # Before the WebSocket listener, which asks who takes which path.
        self._start_leafs()
        await self._start_mqtt()
        await self._start_websocket()
        await self._start_clients()
        await self._start_control()
        self.leafs.connect()
        self.uplinks = start_uplinks(self.durable, self.leafs, self.services, self._tasks)
        if self.operations is not None and self.uplinks is not None:
            self.operations.facts.uplinks = partial(uplink_facts, self.uplinks, self.leafs)
        self._show_facts()
        self.system_services.start()
        self.events.start()
        self._sweeper = self._tasks.create_task(self._sweep_blocked(), name="write deadline sweeper")
        self.run_files.write_ports(self.addresses())
        self.logger.info("Server is ready")

    def _start_durable(self) -> None:
        if not self.options.jetstream.is_enabled:
            return
        self.durable = DurableSide(self.options, self.broker, asyncio.get_running_loop())
        self.durable.start(self.options)
        self.features.jetstream = JetstreamReporter(
            self.durable.jetstream,
            self.durable.store.health,
            lambda: self.options,
            self.identity,
            self.durable.directory,
            self.durable.memory_bytes_max,
            self.durable.storage_bytes_max,
        )
        self.durable.jetstream.name_hub(self.leafs.hub_domain)
        self.on_stop.append(self.durable.stop)
        self.logger.info("Starting JetStream")

    async def _start_mqtt(self) -> None:
        options = self.options.mqtt
        if options.port == 0 or self.durable is None:
            return
        self.mqtt = MqttSide(self.options, self.broker, self.durable, self._tasks, self.authenticator, self.events)
        self.mqtt.start()
        # Before the store closes: sessions are told that their clients went.
        self.on_stop.insert(0, self.mqtt.stop)
        self.upgrade_handlers[UpgradeKind.MQTT] = self.mqtt.websocket_client
        self.mqtt.serve(self.services)
        tls = tls_listeners(self.options)["mqtt"]
        facts = ListenerFacts(host=options.host, port=options.port, kind=ConnectionType.MQTT)
        listener = self.mqtt.listener(self._context(facts, self.mqtt.contexts[ConnectionType.MQTT].rules), tls)
        await self._listen("mqtt", listener)
        self.logger.info("Listening for MQTT clients on %s:%d", shown(options.host), listener.port)

    async def _start_control(self) -> None:
        if self.control is None:
            return
        if self.broker.system_account is None:
            self.logger.warning("There is no system account, so neither dashboard nor commands can reach this server")
            return
        await self.control.start()
        if self.operations is not None:
            self.operations.facts.children = self.supervisor.facts
            self.operations.start()
            # Before the store closes: the history's last minute is kept in it.
            self.on_stop.insert(0, self.operations.stop)
        if self.dashboard is not None:
            self.dashboard.start()
            if self.operations is not None:
                self.operations.facts.is_claimed = lambda: self.dashboard is not None and self.dashboard.is_claimed
                self.operations.facts.dashboard = self.dashboard.listener
            self.on_stop.insert(0, self.dashboard.stop)
        if self.devices is not None:
            each_second = self.operations.each_second if self.operations else []
            self.devices.register(self.services, each_second, self.on_stop)
            Bridges(self, self.devices.directory).start(self.services, self.control.control, each_second)
        self.services.start(self.broker.system_account)
        self.on_stop.append(self.control.stop)

    async def _start_clients(self) -> None:
        options = self.options.clients
        listening = bind(options.host, options.port)
        port = int(listening.getsockname()[1])
        tls = tls_listeners(self.options)["client"]
        told_host, told_port = advertised(options, port)
        facts = ListenerFacts(
            host=told_host,
            port=told_port,
            kind=ConnectionType.STANDARD,
            is_tls_required=tls is not None and not options.is_clear_text_allowed,
            is_tls_verified=options.tls is not None and options.tls.is_peer_verified,
            is_tls_available=tls is not None and options.is_clear_text_allowed,
        )
        rules = ListenerRules(maps_certificates=tls is not None and tls.maps_certificates)
        context = self._context(facts, rules)
        await self._listen("client", ClientListener(context, listening, tls, self._tasks, context.logger))
        self.logger.info("Listening for client connections on %s:%d", shown(options.host), port)
        if tls is not None:
            self.logger.info("TLS required for client connections")

    async def _start_websocket(self) -> None:
        options = self.options.websocket
        if options.port == 0:
            return
        listening = bind(options.host, options.port)
        tls = tls_listeners(self.options)["websocket"]
        facts = ListenerFacts(
            host=options.host,
            port=int(listening.getsockname()[1]),
            kind=ConnectionType.WEBSOCKET,
            is_tls_required=tls is not None,
            is_tls_available=tls is not None,
            ping_interval_s=options.ping_interval_s,
        )
        rules = ListenerRules(
            maps_certificates=options.tls is not None and options.tls.is_peer_mapped_to_user,
            no_auth_user=options.no_auth_user,
            single=options.authorization,
        )
        context = self._context(facts, rules, options.authorization.timeout_s if options.authorization else 0.0)
        listener = WebsocketListener(
            context, listening, tls, self._tasks, context.logger, options, self.upgrade_handlers
        )
        await self._listen("websocket", listener)
        scheme = "ws" if tls is None else "wss"
        self.logger.info("Listening for websocket clients on %s://%s:%d", scheme, shown(options.host), facts.port)
        if tls is None:
            self.logger.warning("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!")

    def _start_leafs(self) -> None:
        options = self.options.leaf
        if options.port == 0:
            return
        listener = self.leafs.listen(bind(options.host, options.port), tls_listeners(self.options)["leafnode"])
        self.logger.info("Listening for leafnode connections on %s:%d", shown(options.host), listener.port)
        self.upgrade_handlers[UpgradeKind.LEAF] = lambda upgrade: self.leafs.websocket_link(
            upgrade.ip, upgrade.port, upgrade.tls
        )

    async def _start_monitoring(self) -> None:
        options = self.options.monitoring
        port = options.http_port or options.https_port
        if port == 0:
            return
        host = options.host or self.options.clients.host
        endpoints = Endpoints(self.monitoring, options.base_path)
        tls = None
        if options.https_port and self.options.clients.tls is not None:
            # Probes and dashboards have no certificates: they are not asked for one (monitoring section 1).
            tls = server_context(replace(self.options.clients.tls, is_peer_verified=False))
        self._monitoring = MonitoringListener(bind(host, port), endpoints.answer, tls)
        await self._monitoring.start()
        scheme = "http" if tls is None else "https"
        self.logger.info("Starting %s monitor on %s:%d", scheme, shown(host), self._monitoring.port)

    def _context(self, facts: ListenerFacts, rules: ListenerRules, auth_timeout_s: float = 0.0) -> ClientContext:
        """What the clients of one listener share."""
        context = ClientContext(
            broker=self.broker,
            authenticator=self.authenticator,
            facts=facts,
            rules=rules,
            logger=logging.getLogger("leafbox.clients"),
            tasks=self._tasks,
            events=self.events,
            auth_timeout_s=auth_timeout_s or self.options.security.auth_timeout_s,
            is_tracing=self.options.logging.is_trace,
            is_jetstream_enabled=lambda: self.durable is not None,
            domain=lambda: self.options.jetstream.domain if self.durable is not None else "",
        )
        self.contexts.append(context)
        return context

    async def _listen(self, name: str, listener: ClientListener) -> None:
        self._listeners[name] = listener
        await listener.start()

    def _is_accepting(self) -> bool:
        return "client" in self._listeners and not self.is_lame_duck and not self.stopped.is_set()

    def _ports(self) -> dict[str, int]:
        ports = {name: listener.port for name, listener in self._listeners.items()}
        if self.leafs.listener is not None:
            ports["leafnode"] = self.leafs.listener.port
        return ports

    def ports(self) -> dict[str, int]:
        """Bound ports by listener, with the one of monitoring."""
        return self._ports() | ({"monitoring": self._monitoring.port} if self._monitoring is not None else {})

    def _show_facts(self) -> None:
        """Tell monitoring the configuration in force."""
        self.features.facts = server_facts(
            self.options,
            self._ports(),
            is_auth_required=self.authenticator.shows_auth_required(ListenerRules()),
            config_load_ns=self.config_load_ns,
        )

    def _child_ended(self, name: str, text: str) -> None:
        if self.operations is not None:
            self.operations.events.add("process-ended", f"{name} ended {text}", severity="warning", subject=name)

    def addresses(self) -> dict[str, list[str]]:
        """Bound addresses by kind, as the ports file lists them."""
        ports = {name: listener.port for name, listener in self._listeners.items()}
        return addresses(self.options, ports, self._monitoring.port if self._monitoring is not None else 0)

    # -- while running ------------------------------------------------------------------------------------------------

    async def _sweep_blocked(self) -> None:
        """Close peers whose socket has taken nothing for longer than the write deadline."""
        deadline_ns = int(self.options.broker.write_deadline_s * 1e9)
        while True:
            await asyncio.sleep(SWEEP_S)
            now_ns = time.monotonic_ns()
            for connection in list(self.broker.engine.blocked):
                if now_ns - connection.blocked_since_ns > deadline_ns:
                    self.broker.engine.slow_consumers += 1
                    connection.on_write_deadline()

    @property
    def setup_code(self) -> str:
        """The one-time code of a box that nobody has claimed; else empty."""
        return self.dashboard.setup_code if self.dashboard is not None else ""

    def clients(self) -> list[ClientConnection]:
        """Live NATS clients."""
        return [connection for connection in self.broker.registry if isinstance(connection, ClientConnection)]

    # -- what operators may do over the system account ----------------------------------------------------------------

    def kick(self, cid: int) -> bool:
        """Close a connection as `Kicked`."""
        connection = self.broker.registry.get(cid)
        if not isinstance(connection, Connection):
            return False
        connection.close("Kicked")
        return True

    def ask_to_leave(self, cid: int) -> bool:
        """Tell one client that the server is in lame duck mode."""
        client = self.broker.registry.get(cid)
        if not isinstance(client, ClientConnection):
            return False
        client.send_info(ldm=True)
        return True

    def reload_configuration(self) -> str:
        """Reload as SIGHUP does; the reason when that is not possible."""
        if self.reloader is None:
            return "can only reload config when a file is provided using -c or --config"
        try:
            self.reload(self.reloader())
        except (LeafboxError, OSError) as error:
            self.logger.error("Failed to reload server configuration: %s", error)
            return str(error)
        return ""

    # -- lame duck ----------------------------------------------------------------------------------------------------

    async def enter_lame_duck(self) -> None:
        """Ask clients to leave, then close them one by one, then stop (ADR-5, core-protocol section 4)."""
        if self.is_lame_duck:
            return
        self.is_lame_duck = True
        self.logger.info("Entering lame duck mode, stop accepting new clients")
        self.events.lame_duck()
        for listener in self._listeners.values():
            listener.stop()
        self.leafs.stop_listening()
        for client in self.clients():
            client.send_info(ldm=True)
        if self._leavers():
            grace_s = self.options.server.lame_duck_grace_period_s
            await asyncio.sleep(grace_s)
            await self._close_gradually(self.options.server.lame_duck_duration_s - grace_s)
        await self.stop()

    def _leavers(self) -> list[Callable[[], None]]:
        """What ends each client's connection."""
        devices = self.mqtt.leavers() if self.mqtt is not None else []
        return [*(partial(client.close, "Server Shutdown") for client in self.clients()), *devices]

    async def _close_gradually(self, duration_s: float) -> None:
        leavers = self._leavers()
        interval_s = min(duration_s / max(len(leavers), 1), 1.0)
        for leave in leavers:
            leave()
            await asyncio.sleep(interval_s * (0.5 + random.random() / 2))

    # -- reload -------------------------------------------------------------------------------------------------------

    def reload_from(self, reloader: Callable[[], Options]) -> None:
        """SIGHUP: read the configuration again and apply it, or keep the old one and say why."""
        try:
            options = reloader()
            self.reload(options)
        except (LeafboxError, OSError) as error:
            self.logger.error("Failed to reload server configuration: %s", error)

    def reload(self, options: Options) -> None:
        """Apply a new configuration as a whole; raises `ConfigError` and changes nothing when it cannot be."""
        check_supported(options)
        options, operator = resolve_operator(options, self.authenticator)
        changes = compare(self.options, options)
        options = changes.options
        check_imports({account.name: account for account in options.broker.accounts})
        authenticator = self._authenticator(options, operator)
        tls = tls_listeners(options)
        self.authenticator = authenticator
        old, self.options = self.options, options
        logs.configure(options.logging)
        removed = self.broker.apply(options.broker)
        if self.durable is not None:
            self.durable.apply(options, removed)
        self.system_services.cover_accounts()
        for context in self.contexts:
            context.authenticator = authenticator
            # A listener's own timeout is not the server's and cannot be reloaded.
            if context.auth_timeout_s == old.security.auth_timeout_s:
                context.auth_timeout_s = options.security.auth_timeout_s
            context.is_tracing = options.logging.is_trace
        for name, listener in self._listeners.items():
            listener.use_tls(tls[name])
        for account in removed:
            for client in list(account.connections):
                if isinstance(client, ClientConnection):
                    client.close("Client Closed")
            # After the closed clients have withdrawn: the index would keep the account alive.
            self.broker.engine.loop.call_soon(account.sublist.clear)
        self._reload_clients()
        if self.mqtt is not None:
            self.mqtt.reload(options, authenticator)
        self._reload_leafs(changes, tls["leafnode"])
        self.config_load_ns = time.time_ns()
        self._show_facts()
        digest = f" ({options.config_digest})" if options.config_digest else ""
        self.logger.info("Reloaded server configuration%s", digest)

    def _reload_clients(self) -> None:
        clients = self.clients()
        for client in clients:
            reevaluate(client)
        for account in self.broker.accounts.values():
            send_surplus_away(account)
        most = self.options.broker.connections_max
        for surplus in clients[max(most, 0) :]:
            surplus.fail("maximum connections exceeded", "Maximum Connections Exceeded")
        host, port = advertised(self.options.clients, self._listeners["client"].port)
        for context in self.contexts:
            if context.facts.kind is ConnectionType.STANDARD:
                context.with_facts(host=host, port=port)

    def _reload_leafs(self, changes: Changes, tls: TlsListener | None) -> None:
        context = self.leafs.context
        context.connect_error_reports = self.options.server.connect_error_reports
        context.reconnect_error_reports = self.options.server.reconnect_error_reports
        if self.leafs.listener is not None:
            self.leafs.listener.use_tls(tls)
        self.leafs.reload(
            self.options.leaf,
            self.authenticator,
            added=changes.remotes_added,
            removed=changes.remotes_removed,
            changed=changes.remotes_changed,
        )

    # -- stop ---------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Close listeners and connections, let last bytes out, remove the run files."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self.logger.info("Initiating Shutdown...")
        for listener in self._listeners.values():
            listener.stop()
        if self._monitoring is not None:
            self._monitoring.stop()
        self.events.stop()
        if self.durable is not None:
            self.durable.jetstream.announce_stop()
        for client in self.clients():
            client.close("Server Shutdown")
        if self.uplinks is not None:
            self.uplinks.stop()
        self.leafs.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.supervisor.stop()
        for action in self.on_stop:
            action()
        self.run_files.remove()
        await asyncio.sleep(0)
        self.logger.info("Server Exiting..")
        self.stopped.set()

    def reopen_logs(self) -> None:
        """SIGUSR1."""
        logs.reopen()
        self.logger.info("File log re-opened")

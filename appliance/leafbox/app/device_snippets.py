"""Lines for people with devices: what to paste into a shell, a sketch, a YAML file to send the first reading."""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from leafbox.protocol.mqtt.topics import subject_to_filter
from leafbox.security.device_users import DeviceUser

EVERYWHERE = ("0.0.0.0", "::", "")
MQTT_PORT = 1883
PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
"""What needs no quotes in YAML."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """One thing to paste."""

    label: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Reachable:
    """Where the box's listeners are for a device. A port of 0: there is no such listener."""

    host: str
    nats_port: int
    mqtt_port: int
    is_mqtt_encrypted: bool = False


def reachable(addresses: Mapping[str, Sequence[str]]) -> Reachable:
    """From the listeners' URLs. Who listens everywhere is reached by the machine's name."""
    nats, mqtt = (urlsplit((addresses.get(kind) or [""])[0]) for kind in ("nats", "mqtt"))
    host = mqtt.hostname or nats.hostname or "127.0.0.1"
    if host in EVERYWHERE:
        host = socket.gethostname()
    return Reachable(host, nats.port or 0, mqtt.port or 0, mqtt.scheme in ("tls", "mqtts", "ssl"))


def example_subject(device: DeviceUser) -> str:
    """A subject the device may publish on: its first right with the wildcards filled in."""
    allowed = device.publish[0] if device.publish else f"{device.name}.>"
    return ".".join("temperature" if token in ("*", ">") else token for token in allowed.split("."))


def snippets(device: DeviceUser, password: str, where: Reachable) -> list[Snippet]:
    """Ready-made lines for the protocols the box listens on."""
    subject = example_subject(device)
    topic = (subject_to_filter(subject.encode()) or b"").decode()
    made: list[Snippet] = []
    if where.mqtt_port:
        made += _mqtt(device.name, password, where, topic)
    if where.nats_port:
        made.append(
            Snippet(
                "nats",
                "sh",
                f"nats --server nats://{where.host}:{where.nats_port} --user {device.name} --password {password}"
                f" pub {shlex.quote(subject)} 21.5",
            )
        )
    return made


def _mqtt(name: str, password: str, where: Reachable, topic: str) -> list[Snippet]:
    host, port = where.host, where.mqtt_port
    prefix = topic.rpartition("/")[0] or name
    prefix = prefix if PLAIN.fullmatch(prefix) else _text(prefix)
    encrypted = " --cafile ca.pem" if where.is_mqtt_encrypted else ""
    client = "WiFiClientSecure" if where.is_mqtt_encrypted else "WiFiClient"
    setup = "network.setCACert(CA_PEM);  // the box's certificate authority\n  " if where.is_mqtt_encrypted else ""
    tls_line = 'client.tls_set("ca.pem")\n' if where.is_mqtt_encrypted else ""
    return [
        Snippet(
            "mosquitto_pub",
            "sh",
            f"mosquitto_pub -h {host} -p {port} -u {name} -P {password} -i {name} -q 1{encrypted}"
            f" -t {shlex.quote(topic)} -m 21.5",
        ),
        Snippet(
            "Arduino (PubSubClient)",
            "cpp",
            f"#include <WiFi.h>\n#include <PubSubClient.h>\n\n{client} network;\nPubSubClient mqtt(network);\n\n"
            f'void setup() {{\n  WiFi.begin("SSID", "WIFI-PASSWORD");\n  {setup}mqtt.setServer("{host}", {port});\n'
            f'}}\n\nvoid loop() {{\n  if (!mqtt.connected()) mqtt.connect("{name}", "{name}", "{password}");\n'
            f'  mqtt.loop();\n  mqtt.publish({_text(topic)}, "21.5");\n  delay(10000);\n}}',
        ),
        Snippet(
            "ESPHome",
            "yaml",
            f"mqtt:\n  broker: {host}\n  port: {port}\n  client_id: {name}\n  username: {name}\n"
            f"  password: {password}\n  topic_prefix: {prefix}\n  discovery: false",
        ),
        Snippet(
            "Python (paho-mqtt)",
            "python",
            "import paho.mqtt.client as mqtt\n\n"
            f'client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="{name}")\n'
            f'client.username_pw_set("{name}", "{password}")\n{tls_line}client.connect("{host}", {port})\n'
            f'client.loop_start()\nclient.publish({_text(topic)}, "21.5", qos=1).wait_for_publish()',
        ),
    ]


def _text(text: str) -> str:
    """In double quotes, as C, Python and YAML read them alike."""
    return json.dumps(text, ensure_ascii=False)

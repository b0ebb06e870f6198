"""Leafbox: a NATS server, durable JetStream, MQTT gateway and leaf uplink for one edge box."""

__version__ = "0.1.0"

# Clients gate features on the version in INFO, so the box reports the release whose behaviour it reproduces.
NATS_SERVER_VERSION = "2.15.1"

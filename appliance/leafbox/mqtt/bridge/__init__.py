"""Bridges to other MQTT brokers: a process beside core that stores and forwards in both directions."""

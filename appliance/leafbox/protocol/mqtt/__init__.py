"""MQTT 3.1, 3.1.1 and 5.0 as values: control packets, properties, reason codes, topics and their subjects."""

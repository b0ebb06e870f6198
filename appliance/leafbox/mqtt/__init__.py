"""MQTT 3.1.1 clients on the same subjects: sessions, QoS flows, retained messages, topic mapping."""

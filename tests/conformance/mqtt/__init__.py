"""The MQTT gateway against the standards, beside mosquitto and the real nats-server."""

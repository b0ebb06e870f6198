"""Security and subject mappings, held against nats-server 2.15.1."""

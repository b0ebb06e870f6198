"""NATS client sessions: handshake, subscriptions, pings, over TCP, TLS and WebSocket."""

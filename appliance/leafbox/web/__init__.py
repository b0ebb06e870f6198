"""The web process: dashboard, API and monitoring paths behind a login; a NATS client of core that it never delays."""

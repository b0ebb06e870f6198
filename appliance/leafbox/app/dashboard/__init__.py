"""Core's side of the dashboard: what the web process asks for, wired to the store, the configuration and monitoring."""

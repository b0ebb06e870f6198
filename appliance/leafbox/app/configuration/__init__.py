"""The configuration: nats.conf grammar, typed options, command-line flags, validation and reload rules."""

"""Streams and consumers: the JetStream API and the policies behind it."""

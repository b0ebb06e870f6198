"""Leaf links between a real nats-server and ours, both ways round."""

"""Immutable snapshots of the appliance and the documents nats-server users expect of them."""

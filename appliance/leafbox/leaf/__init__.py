"""Leaf links, both directions: interest, relay, loop rules and the supervision of the uplink."""

"""Accounts, subjects, permissions, mappings, connection registry: the ports in which features meet."""

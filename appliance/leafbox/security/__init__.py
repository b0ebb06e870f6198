"""Who may connect and what they may do: users, nkeys, passwords, TLS."""

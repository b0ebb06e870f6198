"""Who may use the box's dashboard and API: people, logins, tokens, and the record of what they changed."""

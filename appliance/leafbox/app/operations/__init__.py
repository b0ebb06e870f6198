"""The box looks after itself: history, issues, logs and events, backups; what doctor and dashboard ask."""

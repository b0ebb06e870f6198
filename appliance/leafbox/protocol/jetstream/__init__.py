"""JetStream as values: configurations, requests, responses, errors, header and subject codecs. No I/O, no clock."""

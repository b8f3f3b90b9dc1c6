"""What the gateway remembers: ended requests, samples of its load, and its uptime."""

"""Any HTTP server that a command starts."""

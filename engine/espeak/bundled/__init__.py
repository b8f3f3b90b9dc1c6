"""The server of espeak-ng that comes with the gateway."""

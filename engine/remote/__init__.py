"""An engine that runs already, on this machine or another."""

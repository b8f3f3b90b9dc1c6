"""What clients meet: routes, requests, responses and errors over HTTP."""

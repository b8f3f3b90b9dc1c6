"""The Responses API's state and paths: stored responses, conversations, runs in the background."""

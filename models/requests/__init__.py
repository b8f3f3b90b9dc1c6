"""One reader for each way in which a request writes its prompt. Pure."""

"""The pages for browsers, as files in memory."""

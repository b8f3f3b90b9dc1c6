"""Forms with files, kept until their request has ended."""

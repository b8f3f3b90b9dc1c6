"""Bodies of requests: read within limits, forms with files, and the memory that they take."""

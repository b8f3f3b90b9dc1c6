"""What runs models: engines as processes, their life and their queue."""

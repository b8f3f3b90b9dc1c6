"""What is known of models: their specification, their catalogue and how one is chosen."""

"""Find the models that the machine already has, in the stores of other programs and in folders."""

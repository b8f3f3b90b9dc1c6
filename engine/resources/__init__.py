"""The machine's memory: measured, learnt, waited for, filled ahead."""

"""What everything rests on: errors, settings, logging, clocks and tasks."""

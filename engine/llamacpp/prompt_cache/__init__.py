"""Engine state that outlives the engine: saved before a stop, restored where it helps."""

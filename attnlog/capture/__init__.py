"""Model → Capture: taps, inputs, metrics. This room knows torch and nothing of files."""

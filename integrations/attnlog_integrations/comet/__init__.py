"""Comet: assets of the running experiment, and the viewer as a panel."""

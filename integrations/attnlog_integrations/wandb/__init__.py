"""Weights & Biases: files of the active run, online or offline. A tracker in one file, to copy for another."""

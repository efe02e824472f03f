"""The run folder: atomic commits, manifests, reading back. This room knows files and nothing of torch or trackers."""

"""Hosts on this side of the wire: the local server, the exported page, and the built viewer they serve."""

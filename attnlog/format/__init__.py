"""Capture ↔ Arrow bytes. The contract is docs/format.md; this room knows pyarrow and numpy and nothing of torch or files."""

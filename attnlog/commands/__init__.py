"""What the command line does, one file per command; ``attnlog.cli`` only declares them."""

"""What keeps notebooks, helpers and addresses in step, used through make or `python3 -m tools`."""

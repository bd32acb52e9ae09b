"""Tools that keep notebooks, helpers and addresses in step; run them by make or `-m tools`."""

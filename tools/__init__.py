"""What keeps notebooks, helpers and addresses in step. Used through make."""

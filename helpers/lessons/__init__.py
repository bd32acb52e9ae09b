"""What only one or two lessons use."""

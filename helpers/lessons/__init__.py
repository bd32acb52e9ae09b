"""Code that only one or two lessons use."""

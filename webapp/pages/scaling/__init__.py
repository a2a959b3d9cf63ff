"""What the pages of scaling laws are put together from."""

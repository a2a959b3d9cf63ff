"""Pages of scaling laws."""

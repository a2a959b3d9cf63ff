"""The page that holds runs against each other: its address, its facts, its table."""

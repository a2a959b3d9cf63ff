"""What goes in (unknown fields refused) and what comes out, one file per resource."""

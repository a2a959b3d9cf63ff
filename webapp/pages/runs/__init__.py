"""What the runs table and the run page show, worked out apart from HTTP."""

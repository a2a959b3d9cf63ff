"""What the pages of sweeps show, worked out apart from HTTP."""

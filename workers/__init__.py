"""The bridge between the control plane and the training code: tickets, claims, processes, rows."""

"""Loggers for training libraries. Each imports its library, so import only the one that you use."""

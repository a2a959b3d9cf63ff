"""The command's groups, one a file: `add(groups)` describes the group and what runs for each of its words."""

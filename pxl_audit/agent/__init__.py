"""The agent: the one process a data directory has that gives records their index, signs, and ships."""

"""The vault: what may be forgotten. Openings of the commitments in the log, and the skeleton's columns again."""

"""Renderers: each makes one format of the frozen model, or of a drawn population."""

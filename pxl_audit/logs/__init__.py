"""Bridges to logging libraries; each module names one, and none is imported unless a service asks for it."""

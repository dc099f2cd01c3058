"""Shared parts of the tests: tiny models, independent references, and small examples."""

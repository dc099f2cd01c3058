"""What the tests share: tiny models, references written out by hand, and small examples."""

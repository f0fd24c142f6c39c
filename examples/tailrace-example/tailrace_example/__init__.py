"""A source and a sink that live outside of tailrace's own package."""

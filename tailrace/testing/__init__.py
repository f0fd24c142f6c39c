"""The acceptance suites that every plugin must pass, built-in or third-party. They need pytest and
pytest-asyncio (`asyncio_mode = "auto"`), which tailrace itself does not install."""

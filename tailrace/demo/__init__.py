"""What `tailrace demo` does: a pipeline under live traffic, a SIGKILL, and the proof of what it delivered."""

"""PostgreSQL: where a server is, connections to it, and what its refusals mean."""

"""MySQL and MariaDB: connecting, and what their errors mean."""

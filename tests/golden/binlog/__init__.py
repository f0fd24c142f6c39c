"""The golden files of MySQL and MariaDB.

`families` and `changes` are the tables and statements, `corpus` puts them together, `engine` runs Debezium's
connectors, `files` says which golden file is of which server and settings, `differences` lists every
difference that is meant. Recordings are kept and compared as PostgreSQL's are (`tests/golden/recording.py`).
"""

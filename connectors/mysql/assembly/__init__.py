"""The log's events in, batches of changes out, transaction by transaction."""

"""Apache Kafka: its errors as policies, administration, reading a compacted topic."""

"""The tables of analytics by Apache Flink: one SQL job that reads Kafka and writes a schema of its own.

The job computes the tables in `analytics.generation.FLINK_TABLES`, except visits, which the shop's task computes from
the job's activities. The consumer knows all tables and stays the reference.
"""

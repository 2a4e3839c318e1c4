"""The whole way of an event on one machine: S3 notification -> Lambda handler -> OpenSearch -> answers."""

"""Object stores: bytes under names, in a folder, in memory, on S3 or on Google Cloud Storage."""

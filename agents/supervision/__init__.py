"""Backends that wrap a backend: limited concurrency, restarts, replicas."""

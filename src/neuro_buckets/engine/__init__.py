"""The embedded engine: object storage as a child process of the service, started, watched and stopped by `Engine`."""

from neuro_buckets.engine.engine import Engine, EngineState
from neuro_buckets.engine.secrets import AdminCredentials, IamAccess

__all__ = ["AdminCredentials", "Engine", "EngineState", "IamAccess"]

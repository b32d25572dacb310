"""The log of a service process: JSON lines, from our own code and from the libraries alike."""

import logging
import logging.handlers
import sys
import traceback
from pathlib import Path
from typing import Literal

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from neuro_buckets.errors import ConfigError, ServiceError


def _say_where(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Replace an exception by its kind and its frames. Its message stays only where it is one of ours: others may quote secrets."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    lines: list[str] = []
    while isinstance(error, BaseException):
        ours = isinstance(error, ServiceError | ConfigError)
        lines.append(f"{type(error).__qualname__}: {error}" if ours else type(error).__qualname__)
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if lines:
        event["exception"] = "\n".join(lines)
    return event


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _say_where,
]


_FILE_BYTES = 8 * 2**20


def configure_logging(file: Path, level: Literal["info", "debug"] = "info") -> None:
    """Send the log of this process to `file`, which is rotated once; what somebody should look at goes to stderr too.

    Args:
        level: of our own lines. Libraries are heard from `warning` on, for what they say below that quotes headers and signatures.
    """
    ours = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(ours),
        cache_logger_on_first_use=True,
    )
    lines = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.PositionalArgumentsFormatter()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    to_file = logging.handlers.RotatingFileHandler(file, maxBytes=_FILE_BYTES, backupCount=1, encoding="utf-8")
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(logging.WARNING)
    for handler in (to_file, to_terminal):
        handler.setFormatter(lines)
    logging.basicConfig(handlers=[to_file, to_terminal], level=logging.WARNING, force=True)
    logging.getLogger("neuro_buckets").setLevel(ours)
